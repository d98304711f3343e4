#!/usr/bin/env node
/**
 * Compiles lib/ to dist/ and removes from dist/ what has no source any more; then puts all that the package's main entry needs
 * into one file, dist/qarepvgg.js, which halves the time of `require`: a hundred files take longer to find than to run, and
 * what the server and vision need beside it into dist/serve/index.js and dist/vision/index.js. The published package has dist/ instead of lib/: there is nothing to do there.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
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
    const { build } = await import('esbuild');
    /** @type {import('esbuild').BuildOptions} */
    const options = { bundle: true, packages: 'external', platform: 'node', target: 'node20' };
    await build({
      ...options,
      entryPoints: [join(lib, 'index.ts')],
      outfile: join(dist, 'qarepvgg.js'),
      plugins: [wireFormat],
      // Read by tools that copy what a program needs; their parsers may be older than the code of the bundle.
      external: ['./addon-files'],
    });
    for (const entry of ['serve', 'vision']) {
      await build({
        ...options,
        entryPoints: [join(lib, entry, 'index.ts')],
        outfile: join(dist, entry, 'index.js'),
        plugins: [mainEntry],
      });
    }
  }
}
