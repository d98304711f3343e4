/** Checks of a release: what those who install it get. */
import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildSync, version as esbuildVersion } from 'esbuild';
import { atMost, MEGABYTE, manifest, megabytes, output, root, sizeOf } from './common.mjs';

/** @typedef {import('./common.mjs').Outcome} Outcome */

const MOST_INSTALLED = 30 * MEGABYTE;
const MOST_STARTUP = 150; // ms
/** They read the tarball: whether what package.json promises to Node and to TypeScript is there. */
const LINTERS = ['publint@0.3.25', '@arethetypeswrong/cli@0.18.5'];

/**
 * Runs a program of a package that is fetched for that.
 * @param {readonly string[]} packages
 * @param {readonly string[]} command
 * @param {string} cwd
 */
function npmExec(packages, command, cwd) {
  const args = ['exec', '--yes', ...packages.map((name) => `--package=${name}`), '--', ...command];
  return spawnSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** @param {string} tarball @returns {Outcome} */
export function linters(tarball) {
  const runs = [
    npmExec(LINTERS, ['publint', tarball, '--strict'], root),
    npmExec(LINTERS, ['attw', tarball, '--no-color', '--no-emoji'], root),
  ];
  return {
    found: LINTERS.join(', '),
    problems: runs.flatMap(({ status, stdout, stderr }) =>
      status === 0 ? [] : `${stdout}${stderr}`.trim().split('\n'),
    ),
  };
}

/**
 * Installs the tarball as a stranger would, without scripts.
 * @param {string} tarball
 * @param {string} folder
 * @returns {Outcome}
 */
export function install(tarball, folder) {
  writeFileSync(join(folder, 'package.json'), '{ "name": "application", "version": "1.0.0", "private": true }\n');
  output('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', tarball], folder);
  const lock = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8'));
  const scripted = Object.entries(lock.packages).filter(([, { hasInstallScript }]) => hasInstallScript);
  const size = atMost('installed with dependencies', sizeOf(join(folder, 'node_modules')), MOST_INSTALLED, megabytes);
  return {
    found: `${size.found}; no install scripts`,
    problems: [...size.problems, ...scripted.map(([name]) => `${name} has an install script`)],
  };
}

/** @param {string} folder of the application @returns {Outcome} */
export function example(folder) {
  const text = readFileSync(join(folder, 'node_modules', manifest.name, 'README.md'), 'utf8');
  const [, code = ''] = /```js\n(.*?)```/s.exec(text) ?? [];
  writeFileSync(join(folder, 'example.mjs'), code);
  const installed = join('node_modules', manifest.name);
  /** @param {string[]} args */
  const run = (...args) => spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
  run(
    join(installed, 'dist/cli/index.js'),
    'export',
    join(installed, 'models/fashion-mnist.safetensors'),
    'model.onnx',
  );
  const { status, stdout, stderr } = run('example.mjs');
  return { found: stdout.trim(), problems: status === 0 && code ? [] : [stderr.trim() || 'no example'] };
}

/**
 * TypeScript accepts a program that imports the package, as an ES module and as CommonJS, declarations included.
 * @param {string} folder of the application
 * @returns {Outcome}
 */
export function types(folder) {
  const program = `
    import { QARepVGGBlock, randn, type Tensor } from '${manifest.name}';
    const y: Tensor = new QARepVGGBlock({ inChannels: 3, outChannels: 4 }).forward(randn([1, 3, 8, 8]));
    export const [batch]: number[] = y.dims;`;
  const files = ['typed.mts', 'typed.cts'];
  for (const file of files) writeFileSync(join(folder, file), program);
  const modules = join(root, 'node_modules');
  const options = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'node16', '--types', 'node'];
  options.push('--lib', 'es2022,esnext.disposable', '--typeRoots', join(modules, '@types'));
  const tsc = [join(modules, 'typescript', 'bin', 'tsc'), ...options, ...files];
  const { status, stdout } = spawnSync(process.execPath, tsc, { cwd: folder, encoding: 'utf8' });
  return {
    found: `${files.join(', ')}, declarations checked`,
    problems: status === 0 ? [] : stdout.trim().split('\n'),
  };
}

/**
 * An application in one file by esbuild: with the package beside it, and with the package in it and the prebuilt addon copied.
 * @param {string} folder of the application
 * @returns {Outcome}
 */
export function bundles(folder) {
  const problems = [];
  /** @type {[string, import('esbuild').BuildOptions][]} */
  const ways = [
    ['outside/app.mjs', { format: 'esm', external: [manifest.name] }],
    ['inside/dist/app.cjs', { format: 'cjs' }],
  ];
  cpSync(join(folder, 'node_modules', manifest.name, 'prebuilds'), join(folder, 'inside', 'prebuilds'), {
    recursive: true,
  });
  for (const [file, options] of ways) {
    const source = { absWorkingDir: folder, entryPoints: ['example.mjs'], outfile: file };
    try {
      buildSync({ ...source, bundle: true, platform: 'node', logLevel: 'silent', ...options });
      output(process.execPath, [file], folder);
    } catch (error) {
      problems.push(`${file}: ${/** @type {Error} */ (error).message}`);
    }
  }
  return { found: `esbuild@${esbuildVersion}: ${ways.map(([file]) => file).join(', ')}`, problems };
}

/** @param {string} folder of the application @returns {Outcome} */
export function startup(folder) {
  const { fastest } = JSON.parse(
    output(process.execPath, [join(root, 'bench', 'startup.mjs'), '--json', '--from', folder]),
  );
  return atMost('require to first inference', fastest, MOST_STARTUP, (value) => `${value.toFixed(0)} ms`);
}
