/** Checks of a release: the addons and the OpenMP runtimes. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { buildInfo, megabytes, output, root, sha256, sizeOf } from './common.mjs';
import { highest, linkProblems, neededProblems, parseLibrary, versionProblems } from './elf.cjs';
import { ADDON, BUILD_INFO, buildFolder, OPENMP, targetNamed } from './targets.cjs';

/** @typedef {import('./common.mjs').Outcome} Outcome */

/** The oldest libraries that a machine may have: those of Amazon Linux 2023 and Red Hat Enterprise Linux 9. */
const PROMISED = { GLIBC: '2.34', GLIBCXX: '3.4.29', CXXABI: '1.3.13' };

/** @param {string} file */
const library = (file) => parseLibrary(output('readelf', ['-h', '-d', '-n', '-W', '--dyn-syms', file]));

/**
 * The files of a target are there, they are what was built, and the addon is linked as meant.
 * @param {string} name
 * @returns {Outcome}
 */
export function binaries(name) {
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
 * Instruction sets keep to their own files, and the rest of what `check:kernels` looks at.
 * @param {string} name of a target
 * @returns {Outcome}
 */
export function kernels(name) {
  const args = ['scripts/check-kernels.mjs', '--arch', targetNamed(name).arch];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
  const lines = `${stdout}${stderr}`.trim().split('\n');
  return {
    found: `check:kernels: ${lines.length} checks`,
    problems: status === 0 ? [] : lines.filter((line) => !line.startsWith('ok ')),
  };
}
