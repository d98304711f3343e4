#!/usr/bin/env node
/**
 * Compiles lib/ to dist/ and removes from dist/ what has no source any more; then puts all that the package's main entry needs
 * at once into one file, dist/bundle.js, which halves the time of `require`: a hundred files take longer to find than to run. A
 * server that runs a model never needs some parts, so these are files of their own, which `require` loads with their first use.
 * What the server and vision need beside the library goes into dist/serve/bundle.js and dist/vision/bundle.js. The published
 * package has dist/ instead of lib/: there is nothing to do there.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
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

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [lib, dist] = [join(root, 'lib'), join(root, 'dist')];

/** The bundle of an entry is in the entry's folder. @param {string} entry below lib/ */
const bundleOf = (entry) => join(dist, dirname(entry), 'bundle.js');

/** What one bundle calls another. @param {string} from entry @param {string} to entry */
const pathBetween = (from, to) => relative(dirname(bundleOf(from)), bundleOf(to)).replace(/^(?!\.)/, './');

/**
 * Leaves out what `require` loads later, which goes to a bundle of its own.
 *
 * @param {string} from entry of the bundle that is made
 * @param {Set<string>} [found] collects the entries of these bundles, below lib/
 * @returns {import('esbuild').Plugin}
 */
const later = (from, found) => ({
  name: 'later',
  setup: ({ onResolve, resolve }) => {
    onResolve({ filter: /^\./ }, async ({ kind, path, pluginData, ...args }) => {
      if (kind !== 'require-call' || pluginData === later) return undefined;
      const file = await resolve(path, { ...args, kind, pluginData: later });
      const entry = relative(lib, file.path);
      found?.add(entry);
      return { path: pathBetween(from, entry), external: true };
    });
  },
});

/**
 * Takes files from the bundles that have them: of two copies of a class, one would not know the objects of the other.
 *
 * @param {(file: string) => string} ownerOf the entry of a file's bundle; all below lib/
 * @param {string} entry of the bundle that is made
 * @param {Map<string, Set<string>>} taken collects the files that are needed, by the entry of their bundle
 * @returns {import('esbuild').Plugin}
 */
const fromOthers = (ownerOf, entry, taken) => ({
  name: 'from-others',
  setup: ({ onResolve, onLoad, resolve }) => {
    onResolve({ filter: /^\./ }, async ({ kind, path, pluginData, ...args }) => {
      if (kind !== 'import-statement' || pluginData === fromOthers) return undefined;
      const found = await resolve(path, { ...args, kind, pluginData: fromOthers });
      const file = relative(lib, found.path);
      const isOurs = !found.external && !file.startsWith('..');
      return isOurs && ownerOf(file) !== entry ? { path: file, namespace: 'others' } : found;
    });
    onResolve({ filter: /()/, namespace: 'others' }, ({ path }) => ({ path, namespace: 'bundles' }));
    onLoad({ filter: /()/, namespace: 'others' }, async ({ path }) => {
      const owner = ownerOf(path);
      taken.get(owner)?.add(path);
      // By name: what esbuild makes of a whole module takes longer to load than this package's code.
      const names = (await namesOf(path)).join();
      return { contents: `import { files } from '${owner}'; export const { ${names} } = files['${path}'];` };
    });
    // Once: Node looks for a file again and again that another one has loaded.
    onResolve({ filter: /()/, namespace: 'bundles' }, ({ path }) => ({ path, external: true }));
    onLoad({ filter: /()/, namespace: 'bundles' }, ({ path }) => ({
      contents: `export const { files } = require('${pathBetween(entry, path)}');`,
    }));
  },
});

/** @type {Map<string, Promise<string[]>>} */
const knownNames = new Map();

/** The exports of a file below lib/. @param {string} file */
function namesOf(file) {
  const names = knownNames.get(file) ?? look(file, [later(file)]).then((found) => found.names);
  knownNames.set(file, names);
  return names;
}

/** The library's own entry, below lib/. */
const mainFile = 'index.ts';

if (existsSync(lib)) {
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  const { status } = spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json')], { stdio: 'inherit' });
  process.exitCode = status ?? 1;
  for (const file of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
    const source = file.replace(/(\.d\.ts|\.js)$/, '.ts'); // of a folder: the folder itself
    if (!existsSync(join(lib, source))) rmSync(join(dist, file), { recursive: true, force: true });
  }
  if (status === 0) await bundleAll();
}

async function bundleAll() {
  for (const entry of ['serve/index.ts', 'vision/index.ts']) {
    const plugins = [mainEntry, later(entry)];
    writeList(join(dirname(entry), 'index.js'), (await look(entry, plugins)).names);
    await bundle({ entryPoints: [join(lib, entry)], outfile: bundleOf(entry), plugins });
  }
  /** The entries of the bundles that share the library, with the files that each reaches. @type {Map<string, Set<string>>} */
  const parts = new Map();
  /** @type {Set<string>} */
  const entries = new Set([mainFile]);
  for (const entry of entries) {
    const { files, names } = await look(entry, [later(entry, entries)]);
    parts.set(entry, files);
    if (entry === mainFile) writeList('qarepvgg.js', names);
  }
  /** @param {string} file */
  const ownerOf = (file) => {
    if (parts.get(mainFile)?.has(file)) return mainFile;
    const owners = [...parts.keys()].filter((entry) => parts.get(entry)?.has(file));
    const nearest = owners.filter((entry) => file.startsWith(`${dirname(entry)}/`));
    const [owner, ...others] = nearest.length > 0 ? nearest : owners;
    if (owner !== undefined && others.length === 0) return owner;
    throw new Error(`${file}: expected a bundle that has it, received ${owners.join(', ')}`);
  };
  /** @type {Map<string, Set<string>>} */
  const taken = new Map([...entries].map((entry) => [entry, new Set()]));
  // What one bundle takes from another is known once it is made.
  for (const write of [false, true]) {
    for (const entry of entries) {
      const own = [...(taken.get(entry) ?? [])];
      // Plain objects: the getters of a module would be functions, each compiled for its first call.
      const objects = own.map(async (file, i) => {
        const properties = (await namesOf(file)).map((name) => `${name}: file${i}.${name}`);
        return `'${file}': { ${properties.join()} }`;
      });
      const lines = [
        "'use strict';",
        `export * from './${entry}';`,
        ...own.map((file, i) => `import * as file${i} from './${file}';`),
        `export const files = { ${(await Promise.all(objects)).join()} };`,
      ];
      await bundle({
        stdin: { contents: lines.join('\n'), resolveDir: lib },
        outfile: bundleOf(entry),
        plugins: [fromOthers(ownerOf, entry, taken), later(entry)],
        write,
      });
    }
  }
}

/** @param {import('esbuild').BuildOptions} options */
async function bundle(options) {
  const { build } = await import('esbuild');
  // addon-files is read by tools that copy what a program needs; their parsers may be older than the code of the bundle.
  const external = ['./addon-files'];
  return build({ bundle: true, packages: 'external', platform: 'node', target: 'node20', external, ...options });
}

/**
 * The files below lib/ that a bundle has, and the names of its exports, which esbuild tells of a module of the other kind.
 *
 * @param {string} entry below lib/
 * @param {import('esbuild').Plugin[]} plugins
 */
async function look(entry, plugins) {
  const paths = { entryPoints: [join(lib, entry)], outdir: dist, absWorkingDir: lib };
  const { metafile } = await bundle({ ...paths, plugins, format: 'esm', metafile: true, write: false });
  if (!metafile) throw new Error(`${entry}: no metafile`);
  const files = Object.keys(metafile.inputs).filter((file) => existsSync(join(lib, file)) && !file.startsWith('..'));
  return { files: new Set(files), names: Object.values(metafile.outputs).flatMap(({ exports }) => exports) };
}

/**
 * Writes the exports of a bundle as a list. Node goes through a whole CommonJS file for the names that an `import` may ask for,
 * which takes three times as long as running the bundle; a list is short.
 *
 * @param {string} output below dist/, beside the bundle
 * @param {readonly string[]} names
 */
function writeList(output, names) {
  const lines = [
    '"use strict";',
    'Object.defineProperty(exports, "__esModule", { value: true });',
    'const bundle = require("./bundle.js");',
    ...names.map((name) => `exports.${name} = bundle.${name};`),
  ];
  writeFileSync(join(dist, output), `${lines.join('\n')}\n`);
}
