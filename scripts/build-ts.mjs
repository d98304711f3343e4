#!/usr/bin/env node
/**
 * Compiles lib/ to dist/ and removes from dist/ what has no source any more; then puts all that the package's main entry needs
 * into one file, dist/bundle.js, which halves the time of `require`: a hundred files take longer to find than to run; and what
 * the server and vision need beside it into dist/serve/bundle.js and dist/vision/bundle.js. The published package has dist/
 * instead of lib/: there is nothing to do there.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Other entries take the library from the main one: of two copies, one would not know the models of the other.
 *
 * @type {import('esbuild').Plugin}
 */
const mainEntry = {
  name: 'main-entry',
  setup: ({ onResolve }) => {
    onResolve({ filter: /^(\.\.\/)+index$/ }, () => ({ path: '../qarepvgg.js', external: true }));
  },
};

/**
 * Of the library for protocol buffers two classes are used; the whole takes longer to load than an ONNX file to read.
 *
 * @type {import('esbuild').Plugin}
 */
const wireFormat = {
  name: 'wire-format',
  setup: ({ onResolve }) => {
    const path = fileURLToPath(import.meta.resolve('@bufbuild/protobuf/wire'));
    onResolve({ filter: /^@bufbuild\/protobuf\/wire$/ }, () => ({ path, sideEffects: false }));
  },
};

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [lib, dist] = [join(root, 'lib'), join(root, 'dist')];
if (existsSync(lib)) {
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  const { status } = spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json')], { stdio: 'inherit' });
  process.exitCode = status ?? 1;
  for (const file of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
    const source = file.replace(/(\.d\.ts|\.js)$/, '.ts'); // of a folder: the folder itself
    if (!existsSync(join(lib, source))) rmSync(join(dist, file), { recursive: true, force: true });
  }
  if (status === 0) {
    // addon-files is read by tools that copy what a program needs; their parsers may be older than the code of the bundle.
    await bundle('index.ts', 'qarepvgg.js', { plugins: [wireFormat], external: ['./addon-files'] });
    for (const entry of ['serve', 'vision'])
      await bundle(`${entry}/index.ts`, `${entry}/index.js`, { plugins: [mainEntry] });
  }
}

/**
 * Writes all that an entry needs into bundle.js in its folder, and a list of its exports to `output`. Node goes through a whole
 * CommonJS file for the names that an `import` may ask for, which takes three times as long as running the bundle; a list is short.
 *
 * @param {string} entry below lib/
 * @param {string} output below dist/
 * @param {import('esbuild').BuildOptions} options
 */
async function bundle(entry, output, options) {
  const { build } = await import('esbuild');
  const outfile = join(dist, dirname(output), 'bundle.js');
  /** @type {import('esbuild').BuildOptions} */
  const all = { bundle: true, packages: 'external', platform: 'node', target: 'node20', ...options };
  const paths = { entryPoints: [join(lib, entry)], outfile };
  await build({ ...all, ...paths });
  // Of a module of the other kind esbuild tells the names.
  const { metafile } = await build({ ...all, ...paths, format: 'esm', metafile: true, write: false });
  const names = Object.values(metafile.outputs).flatMap(({ exports }) => exports);
  const lines = [
    '"use strict";',
    'Object.defineProperty(exports, "__esModule", { value: true });',
    'const bundle = require("./bundle.js");',
    ...names.map((name) => `exports.${name} = bundle.${name};`),
  ];
  writeFileSync(join(dist, output), `${lines.join('\n')}\n`);
}
