#!/usr/bin/env node
/**
 * Everything that must be true of a release, looked at on what would be published. Run `npm run build` and
 * `npm run prebuilds` first. Prints a table and exits with 1 when something is not as meant. Leaves in release/ what is
 * published: the tarball, its bill of materials and SHA256SUMS. Linux with binutils; needs the npm registry.
 *
 *   npm run release:check
 *   npm run release:check -- --publish         as before `npm publish`: the version has a date, the tree is clean
 *   npm run release:check -- --targets linux-x64       some targets only, to try it
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { formatTable } from '../dist/cli/table.js';
import { billOfPackage, licenceProblems, nativeComponents } from './release/bill-of-materials.cjs';
import { binaries, kernels } from './release/binaries.mjs';
import { changelogProblems } from './release/changelog.cjs';
import {
  atMost,
  buildInfo,
  MEGABYTE,
  manifest,
  megabytes,
  output,
  read,
  release,
  root,
  sha256,
} from './release/common.mjs';
import { bundles, example, install, linters, startup, types } from './release/consumers.mjs';
import { contentsProblems } from './release/contents.cjs';
import { brokenLinks } from './release/links.cjs';
import { ADDON, BUILD_INFO, OPENMP, TARGETS } from './release/targets.cjs';

/** @typedef {import('./release/common.mjs').Outcome} Outcome */

const MOST_TARBALL = 6 * MEGABYTE;
/** Lines of one problem that are printed. */
const SHOWN = 12;

const { values } = parseArgs({
  options: {
    publish: { type: 'boolean', default: false },
    targets: { type: 'string', default: Object.keys(TARGETS).join() },
  },
});
const targets = values.targets.split(',');

/** Packs into release/. @returns {{ tarball: string, size: number, files: string[] }} */
function pack() {
  rmSync(release, { recursive: true, force: true });
  mkdirSync(release);
  const [packed] = JSON.parse(output('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', release]));
  const files = packed.files.map((/** @type {{ path: string }} */ file) => file.path);
  return { tarball: join(release, packed.filename), size: packed.size, files };
}

/** @param {readonly string[]} files @returns {Outcome} */
function contents(files) {
  const sources = readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.ts'),
  );
  return { found: `${files.length} files`, problems: contentsProblems(files, targets, sources) };
}

/** @param {string} folder of the application @returns {Outcome} */
function bill(folder) {
  const written = JSON.parse(output('npm', ['sbom', '--sbom-format', 'cyclonedx'], folder));
  const headers = Object.fromEntries(
    ['node-addon-api', 'node-api-headers'].map((name) => [
      name,
      JSON.parse(read(`node_modules/${name}/package.json`)).version,
    ]),
  );
  const native = targets.flatMap((target, i) => nativeComponents(buildInfo(target).openmp, i === 0 ? headers : {}));
  const text = JSON.stringify(billOfPackage(written, manifest.name, native), null, 2);
  writeFileSync(join(release, `${manifest.name}-${manifest.version}.cdx.json`), `${text}\n`);
  const notices = read('THIRD_PARTY_NOTICES.md');
  const unnamed = ['libgomp', 'libstdc++', ...Object.keys(headers)].filter((name) => !notices.includes(`## ${name}`));
  return {
    found: `${written.components.length} packages, ${native.length} native parts; notices`,
    problems: [...licenceProblems(written), ...unnamed.map((name) => `THIRD_PARTY_NOTICES.md does not name ${name}`)],
  };
}

/** @returns {Outcome} */
function version() {
  const problems = changelogProblems(read('CHANGELOG.md'), manifest.version, values.publish);
  const lock = JSON.parse(read('package-lock.json'));
  if (lock.version !== manifest.version) problems.push(`package-lock.json says ${lock.version}`);
  if (values.publish && output('git', ['status', '--porcelain'])) problems.push('the tree has changes');
  return { found: manifest.version, problems };
}

/** @param {string} tarball @returns {Outcome} */
function checksums(tarball) {
  const files = targets.flatMap((target) => [ADDON, OPENMP].map((file) => `prebuilds/${target}/${file}`));
  const lines = [
    `${sha256(tarball)}  ${tarball.slice(release.length + 1)}`,
    ...files.map((file) => `${sha256(join(root, file))}  ${file}`),
  ];
  writeFileSync(join(release, 'SHA256SUMS'), `${lines.join('\n')}\n`);
  return { found: lines.join('\n'), problems: [] };
}

// ---- the table --------------------------------------------------------------------------------------------------------

const application = mkdtempSync(join(tmpdir(), 'qarepvgg-release-'));
try {
  /** @type {Record<string, Outcome>} */
  const outcomes = {};
  /** What cannot even be looked at is refused like the rest: one broken property must not hide the others. */
  const look = (/** @type {string} */ name, /** @type {() => Outcome} */ check) => {
    try {
      outcomes[name] = check();
    } catch (error) {
      const { stderr, message } = /** @type {Error & { stderr?: string }} */ (error);
      outcomes[name] = { found: 'not to be looked at', problems: [(stderr || message).trim()] };
    }
  };
  for (const target of targets) {
    look(target, () => binaries(target));
    look(`${target}, kernels`, () => kernels(target));
  }
  const { tarball, size, files } = pack();
  look('contents', () => contents(files));
  look('links', () => ({
    found: `${files.filter((file) => file.endsWith('.md')).length} documents`,
    problems: brokenLinks(files, read),
  }));
  look('tarball', () => atMost('tarball', size, MOST_TARBALL, megabytes));
  look('exports', () => linters(tarball));
  look('install', () => install(tarball, application));
  look('README example', () => example(application));
  look('types', () => types(application));
  look('bundles', () => bundles(application));
  look('startup', () => startup(application));
  look('version', version);
  if (targets.every((target) => existsSync(join(root, 'prebuilds', target, BUILD_INFO)))) {
    look('bill of materials', () => bill(application));
    look('checksums', () => checksums(tarball));
  }

  const rows = Object.entries(outcomes).flatMap(([name, { found, problems }]) => [
    ...found
      .split('\n')
      .map((line, i) => (i === 0 ? [problems.length === 0 ? 'ok' : 'FAIL', name, line] : ['', '', line])),
    ...problems.flatMap((problem) => problem.split('\n').slice(0, SHOWN)).map((line) => ['', '', `! ${line}`]),
  ]);
  console.log(formatTable(rows, ['left', 'left', 'left']));
  const failed = Object.values(outcomes).filter(({ problems }) => problems.length > 0).length;
  console.log(`\n${failed === 0 ? 'release/ may be published' : `not to be published: ${failed} failed`}`);
  process.exitCode = failed === 0 ? 0 : 1;
} finally {
  rmSync(application, { recursive: true });
}
