#!/usr/bin/env node
/**
 * Builds one target of CMakeLists.txt through cmake-js, and runs it when asked. Needs Node and a C++ compiler only:
 * a missing cmake (or a missing make and ninja) is taken from npm, on demand; so are cmake-js and node-addon-api where the
 * package was installed without its development dependencies.
 *
 *   node scripts/build-native.mjs                                   the addon, build/Release/qarepvgg.node
 *   node scripts/build-native.mjs --target native_test --run        a program, then run it
 *   node scripts/build-native.mjs --target native_bench --run -- --quick
 *
 *   --target NAME         target to build (default: qarepvgg)
 *   --run [-- ARGS]       run the program just built; under qemu where this machine is of another architecture
 *   --quick, --filter X   arguments of that program
 *   --debug               no optimisation, assertions; in build-debug/
 *   --sanitize LIST       e.g. address,undefined; in build-sanitize/. `thread` goes with no other, and in build-sanitize-thread/
 *   --fail-allocations    an addon whose allocations fail on demand; in build-fail-allocations/
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
 * Runs npm: the one that runs this script, if any, since on Windows `npm` is no program.
 * @param {readonly string[]} args
 */
function runNpm(args) {
  const npm = process.env.npm_execpath;
  if (npm?.endsWith('npm-cli.js')) run(process.execPath, [npm, ...args]);
  else run('npm', args);
}

/**
 * Starting a program proves more than finding it: shims of version managers exist without working.
 * @param {string} program
 */
const works = (program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;

/**
 * The folder node_modules that holds these packages, installed into node_modules/.cache the first time.
 * @param {readonly string[]} packages each as `name@version`
 * @returns {string}
 */
function fromNpm(...packages) {
  const home = join(root, 'node_modules', '.cache', packages.join('+').replaceAll(/[^\w.@+-]/g, '_'));
  const modules = join(home, 'node_modules');
  if (!existsSync(join(modules, '.package-lock.json'))) {
    // npm writes it last
    console.log(`Fetching ${packages.join(', ')} from npm into node_modules/.cache`);
    mkdirSync(home, { recursive: true });
    writeFileSync(join(home, 'package.json'), '{ "private": true }\n');
    // --no-global and --include=optional: the npm that runs this script hands its own flags down in the environment.
    const flags = ['--no-save', '--no-package-lock', '--no-global', '--include=optional', '--ignore-scripts'];
    runNpm(['install', '--prefix', home, ...flags, ...packages]);
  }
  return modules;
}

/**
 * Path of a build tool that npm carries as `<tool>-runtime`.
 * @param {string} tool
 * @param {string} version
 * @returns {string}
 */
function toolFromNpm(tool, version) {
  const modules = fromNpm(`${tool}-runtime@${version}`);
  const path = createRequire(join(modules, 'of-this-folder.js'))(`${tool}-runtime`)(tool);
  chmodSync(path, 0o755); // npm unpacks it without the executable bit
  return path;
}

/**
 * Path of cmake-js. It looks for node-addon-api itself, so both must be there.
 * @param {NodeJS.ProcessEnv} env of the process that will run cmake-js
 * @returns {string}
 */
function findCmakeJs(env) {
  const entry = 'cmake-js/bin/cmake-js';
  try {
    const { resolve } = createRequire(join(root, 'package.json'));
    resolve('node-addon-api');
    return resolve(entry);
  } catch {
    const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    const modules = fromNpm(...['cmake-js', 'node-addon-api'].map((name) => `${name}@${devDependencies[name]}`));
    env.NODE_PATH = modules;
    return join(modules, entry);
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    target: { type: 'string', default: 'qarepvgg' },
    run: { type: 'boolean', default: false },
    debug: { type: 'boolean', default: false },
    sanitize: { type: 'string', default: '' },
    'fail-allocations': { type: 'boolean', default: false },
    arch: { type: 'string', default: process.arch },
    quick: { type: 'boolean', default: false },
    filter: { type: 'string', default: '' },
  },
});
// Those of the program that is built and run.
if (values.quick) positionals.push('--quick');
if (values.filter) positionals.push('--filter', values.filter);
const { target, debug, sanitize, arch, 'fail-allocations': failing } = values;
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
const cmakeJsPath = findCmakeJs(env);

const sanitizedKind = sanitize === 'thread' ? 'sanitize-thread' : 'sanitize';
const kind = sanitize ? [sanitizedKind] : debug ? ['debug'] : failing ? ['fail-allocations'] : [];
const variant = [...(foreign ? [arch] : []), ...kind];
const out = join(root, ['build', ...variant].join('-'));
const config = debug ? 'Debug' : sanitize ? 'RelWithDebInfo' : 'Release';
const options = ['--directory', root, '--out', out, '--config', config, '--generator', generator];
options.push(`--CDQAREPVGG_SANITIZE=${sanitize}`);
if (failing) options.push('--CDQAREPVGG_FAIL_ALLOCATIONS=ON');
if (foreign) options.push('--arch', arch);
if (foreign && existsSync(toolchain)) options.push(`--CDCMAKE_TOOLCHAIN_FILE=${toolchain}`);
if (cmake !== 'cmake') options.push('--cmake-path', cmake);

/** @param {...string} args */
const cmakeJs = (...args) => {
  run(process.execPath, [cmakeJsPath, ...args, '--log-level', 'warn', ...options], env);
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
