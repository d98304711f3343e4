#!/usr/bin/env node
/**
 * Builds one target of CMakeLists.txt through cmake-js, and runs it when asked. Needs Node and a C++ compiler only:
 * a missing cmake (or a missing make and ninja) is taken from npm, on demand.
 *
 *   node scripts/build-native.mjs                                   the addon, build/Release/qarepvgg.node
 *   node scripts/build-native.mjs --target native_test --run        a program, then run it
 *   node scripts/build-native.mjs --target native_bench --run -- --quick
 *
 *   --target NAME         target to build (default: qarepvgg)
 *   --run [-- ARGS]       run the program just built; under qemu where this machine is of another architecture
 *   --debug               no optimisation, assertions; in build-debug/
 *   --sanitize LIST       e.g. address,undefined; in build-sanitize/
 *   --arch arm64          for another architecture, in build-arm64/ (and build-arm64-debug/, ...). On Linux with the
 *                         compiler that native/toolchains/linux-arm64.cmake names
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * How to run programs of another architecture, with the libraries that come with Debian's cross compiler.
 * @type {Record<string, readonly string[]>}
 */
const EMULATORS = { 'linux-arm64': ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu'] };

/** Undefined behaviour ends the program; a request for too much memory fails as it does without sanitizers. */
const SANITIZER_ENV = {
  UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1',
  ASAN_OPTIONS: 'allocator_may_return_null=1',
};

/**
 * Runs a program with this one's terminal; ends this process with its exit code when it fails.
 * @param {string} program
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 */
function run(program, args, env = process.env) {
  const { status, error } = spawnSync(program, args, { stdio: 'inherit', env });
  if (error) console.error(`Could not start ${program}: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

/**
 * Starting a program proves more than finding it: shims of version managers exist without working.
 * @param {string} program
 */
const works = (program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;

/**
 * Path of a build tool that npm carries as `<tool>-runtime`, installed into node_modules/.cache the first time.
 * @param {string} tool
 * @param {string} version
 * @returns {string}
 */
function toolFromNpm(tool, version) {
  const home = join(root, 'node_modules', '.cache', `${tool}-runtime-${version}`);
  const installed = join(home, 'node_modules', '.package-lock.json'); // npm writes it last
  if (!existsSync(installed)) {
    console.log(`No ${tool} on the PATH: fetching ${tool}-runtime@${version} from npm into node_modules/.cache`);
    mkdirSync(home, { recursive: true });
    writeFileSync(join(home, 'package.json'), '{ "private": true }\n');
    // --no-global and --include=optional: the npm that runs this script hands its own flags down in the environment.
    const flags = ['--no-save', '--no-package-lock', '--no-global', '--include=optional', '--ignore-scripts'];
    run('npm', ['install', '--prefix', home, ...flags, `${tool}-runtime@${version}`]);
  }
  const path = createRequire(installed)(`${tool}-runtime`)(tool);
  chmodSync(path, 0o755); // npm unpacks it without the executable bit
  return path;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    target: { type: 'string', default: 'qarepvgg' },
    run: { type: 'boolean', default: false },
    debug: { type: 'boolean', default: false },
    sanitize: { type: 'string', default: '' },
    arch: { type: 'string', default: process.arch },
  },
});
const { target, debug, sanitize, arch } = values;
const foreign = arch !== process.arch;
const platform = `${process.platform}-${arch}`;
const toolchain = join(root, 'native', 'toolchains', `${platform}.cmake`);
if (foreign && process.platform === 'linux' && !existsSync(toolchain)) {
  console.error(`expected --arch to be one that native/toolchains/ has a file for, received '${arch}'`);
  process.exit(2);
}

const cmake = works('cmake') ? 'cmake' : toolFromNpm('cmake', '4.3.1');
const generator = works('make') && !works('ninja') ? 'Unix Makefiles' : 'Ninja';
const env = { ...process.env };
if (generator === 'Ninja' && !works('ninja')) {
  env.PATH = `${dirname(toolFromNpm('ninja', '1.13.2'))}${delimiter}${env.PATH}`; // where cmake looks for it
}

const variant = [...(foreign ? [arch] : []), ...(sanitize ? ['sanitize'] : debug ? ['debug'] : [])];
const out = join(root, ['build', ...variant].join('-'));
const config = debug ? 'Debug' : sanitize ? 'RelWithDebInfo' : 'Release';
const options = ['--directory', root, '--out', out, '--config', config, '--generator', generator];
options.push(`--CDQAREPVGG_SANITIZE=${sanitize}`);
if (foreign) options.push('--arch', arch);
if (foreign && existsSync(toolchain)) options.push(`--CDCMAKE_TOOLCHAIN_FILE=${toolchain}`);
if (cmake !== 'cmake') options.push('--cmake-path', cmake);

/** @param {...string} args */
const cmakeJs = (...args) => {
  const script = createRequire(import.meta.url).resolve('cmake-js/bin/cmake-js');
  run(process.execPath, [script, ...args, '--log-level', 'warn', ...options], env);
};

// cmake-js configures only where there is no cache, so a build folder made with other options would be used as it is.
const stamp = join(out, 'configured-with.json');
const configuration = JSON.stringify({ options, compiler: process.env.CXX, node: process.version });
if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== configuration) {
  cmakeJs('reconfigure');
  writeFileSync(stamp, configuration);
}
cmakeJs('build', '--target', target, '--parallel', String(availableParallelism()));

if (values.run) {
  const [program = '', ...args] = [...((foreign && EMULATORS[platform]) || []), join(out, target), ...positionals];
  run(program, args, { ...(sanitize ? SANITIZER_ENV : {}), ...process.env });
}
