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
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { formatTable } from '../dist/cli/table.js';
import { billOfPackage, licenceProblems, nativeComponents } from './release/bill-of-materials.cjs';
import { changelogProblems } from './release/changelog.cjs';
import { contentsProblems } from './release/contents.cjs';
import { highest, linkProblems, neededProblems, parseLibrary, versionProblems } from './release/elf.cjs';
import { ADDON, BUILD_INFO, buildFolder, OPENMP, TARGETS, targetNamed } from './release/targets.cjs';

/** The oldest libraries that a machine may have: those of Amazon Linux 2023 and Red Hat Enterprise Linux 9. */
const PROMISED = { GLIBC: '2.34', GLIBCXX: '3.4.29', CXXABI: '1.3.13' };
const MEGABYTE = 1e6;
const MOST = { tarball: 6 * MEGABYTE, installed: 30 * MEGABYTE, startup: 150 };
/** They read the tarball: whether what package.json promises to Node and to TypeScript is there. */
const LINTERS = ['publint@0.3.25', '@arethetypeswrong/cli@0.18.5'];

/**
 * @typedef {object} Outcome
 * @property {string} found What was looked at, with its figures.
 * @property {readonly string[]} problems
 */

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { values } = parseArgs({
  options: {
    publish: { type: 'boolean', default: false },
    targets: { type: 'string', default: Object.keys(TARGETS).join() },
  },
});
const targets = values.targets.split(',');
/** @type {{ name: string, version: string, devDependencies: Record<string, string> }} */
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const release = join(root, 'release');

/**
 * @param {string} program
 * @param {readonly string[]} args
 * @param {string} [cwd]
 */
const output = (program, args, cwd = root) =>
  execFileSync(program, args, { cwd, encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'pipe'] });

/** @param {string} file */
const sha256 = (file) => createHash('sha256').update(readFileSync(file)).digest('hex');

/** @param {string} file */
const read = (file) => readFileSync(join(root, file), 'utf8');

/** @param {string} file */
const library = (file) => parseLibrary(output('readelf', ['-h', '-d', '-n', '-W', '--dyn-syms', file]));

/**
 * Size on disk of all files of a folder.
 * @param {string} folder
 */
const sizeOf = (folder) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => lstatSync(join(folder, name)))
    .reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0);

/** @param {number} bytes */
const megabytes = (bytes) => `${(bytes / MEGABYTE).toFixed(2)} MB`;

/**
 * @param {string} what
 * @param {number} value
 * @param {number} most
 * @param {(value: number) => string} format
 * @returns {Outcome}
 */
const atMost = (what, value, most, format) => ({
  found: `${what} ${format(value)}, at most ${format(most)}`,
  problems: value <= most ? [] : [`${what}: ${format(value)}`],
});

// ---- checks -----------------------------------------------------------------------------------------------------------

/**
 * The files of a target are there, they are what was built, and the addon is linked as meant.
 * @param {string} name
 * @returns {Outcome}
 */
function binaries(name) {
  const target = targetNamed(name);
  const folder = join(root, 'prebuilds', name);
  const absent = [ADDON, OPENMP, BUILD_INFO].filter((file) => !existsSync(join(folder, file)));
  if (absent.length > 0)
    return { found: 'incomplete', problems: absent.map((file) => `no ${file}: npm run prebuilds`) };

  const addon = library(join(folder, ADDON));
  const openmp = library(join(folder, OPENMP));
  const info = buildInfo(name);
  const problems = [
    ...linkProblems(addon),
    ...neededProblems(addon, target.loader, OPENMP),
    ...versionProblems(addon, PROMISED),
    ...versionProblems(openmp, PROMISED),
  ];
  for (const [file, { machine }] of Object.entries({ [ADDON]: addon, [OPENMP]: openmp })) {
    if (machine !== target.machine) problems.push(`${file}: expected ${target.machine}, found ${machine}`);
    if (info.sha256[file] !== sha256(join(folder, file))) problems.push(`${file} is not that of ${BUILD_INFO}`);
  }
  if (openmp.soname !== OPENMP) problems.push(`expected SONAME ${OPENMP}, found ${openmp.soname}`);
  const built = join(root, buildFolder(target), 'Release', ADDON);
  if (!existsSync(built) || library(built).buildId !== addon.buildId) {
    problems.push(`not the addon in ${buildFolder(target)}/: npm run prebuilds`);
  }
  const versions = [...addon.versions, ...openmp.versions];
  const floor = Object.keys(PROMISED).map((symbol) => `${symbol} ${highest(versions, symbol)}`);
  return { found: `${floor.join(', ')}; ${megabytes(sizeOf(folder))}; ${info.compiler}`, problems };
}

/**
 * @param {string} target
 * @returns {{ compiler: string, openmp: string, sha256: Record<string, string> }}
 */
const buildInfo = (target) => JSON.parse(read(`prebuilds/${target}/${BUILD_INFO}`));

/** Instruction sets keep to their own files. @returns {Outcome} */
function kernels() {
  const { status, stdout } = spawnSync(process.execPath, ['scripts/check-kernels.mjs'], {
    cwd: root,
    encoding: 'utf8',
  });
  const lines = stdout.trim().split('\n');
  return {
    found: `check:kernels: ${lines.length} checks`,
    problems: status === 0 ? [] : lines.filter((line) => !line.startsWith('ok ')),
  };
}

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

/** @param {string} tarball @returns {Outcome} */
function linters(tarball) {
  const run = (/** @type {readonly string[]} */ args) =>
    spawnSync('npm', ['exec', '--yes', ...args], { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  const [publint, attw] = LINTERS;
  const runs = [
    run([`--package=${publint}`, '--', 'publint', tarball, '--strict']),
    run([`--package=${attw}`, '--', 'attw', tarball, '--no-color', '--no-emoji']),
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
function install(tarball, folder) {
  writeFileSync(join(folder, 'package.json'), '{ "name": "application", "version": "1.0.0", "private": true }\n');
  output('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', tarball], folder);
  const lock = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8'));
  const scripted = Object.entries(lock.packages).filter(([, { hasInstallScript }]) => hasInstallScript);
  const size = atMost('installed with dependencies', sizeOf(join(folder, 'node_modules')), MOST.installed, megabytes);
  return {
    found: `${size.found}; no install scripts`,
    problems: [...size.problems, ...scripted.map(([name]) => `${name} has an install script`)],
  };
}

/** @param {string} folder of the application @returns {Outcome} */
function example(folder) {
  const text = readFileSync(join(folder, 'node_modules', manifest.name, 'README.md'), 'utf8');
  const [, code = ''] = /```js\n(.*?)```/s.exec(text) ?? [];
  writeFileSync(join(folder, 'example.mjs'), code);
  const { status, stdout, stderr } = spawnSync(process.execPath, ['example.mjs'], { cwd: folder, encoding: 'utf8' });
  return { found: stdout.trim(), problems: status === 0 && code ? [] : [stderr.trim() || 'no example'] };
}

/** @param {string} folder of the application @returns {Outcome} */
function startup(folder) {
  const { fastest } = JSON.parse(
    output(process.execPath, [join(root, 'bench', 'startup.mjs'), '--json', '--from', folder]),
  );
  return atMost('require to first inference', fastest, MOST.startup, (value) => `${value.toFixed(0)} ms`);
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
  const outcomes = Object.fromEntries(targets.map((target) => [target, binaries(target)]));
  outcomes.kernels = kernels();
  const { tarball, size, files } = pack();
  outcomes.contents = contents(files);
  outcomes.tarball = atMost('tarball', size, MOST.tarball, megabytes);
  outcomes['exports, types'] = linters(tarball);
  outcomes.install = install(tarball, application);
  outcomes['README example'] = example(application);
  outcomes.startup = startup(application);
  outcomes.version = version();
  if (targets.every((target) => existsSync(join(root, 'prebuilds', target, BUILD_INFO)))) {
    outcomes['bill of materials'] = bill(application);
    outcomes.checksums = checksums(tarball);
  }

  const rows = Object.entries(outcomes).flatMap(([name, { found, problems }]) => [
    ...found
      .split('\n')
      .map((line, i) => (i === 0 ? [problems.length === 0 ? 'ok' : 'FAIL', name, line] : ['', '', line])),
    ...problems.map((problem) => ['', '', `! ${problem}`]),
  ]);
  console.log(formatTable(rows, ['left', 'left', 'left']));
  const failed = Object.values(outcomes).filter(({ problems }) => problems.length > 0).length;
  console.log(`\n${failed === 0 ? 'release/ may be published' : `not to be published: ${failed} failed`}`);
  process.exitCode = failed === 0 ? 0 : 1;
} finally {
  rmSync(application, { recursive: true });
}
