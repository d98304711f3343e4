#!/usr/bin/env node
/**
 * Makes prebuilds/<platform>-<architecture>/, which the published package ships: the addon, stripped, the OpenMP runtime of
 * the compiler that built it, unchanged, and what is to be known of both. On Linux.
 *
 *   npm run prebuilds                      all targets; those of another architecture need its cross compiler
 *   npm run prebuilds -- linux-x64         some
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, sha256 } from './release/common.mjs';
import { ADDON, BUILD_INFO, buildFolder, OPENMP, TARGETS, targetNamed, toolFor } from './release/targets.cjs';

/**
 * @param {string} program
 * @param {...string} args
 */
const output = (program, ...args) => execFileSync(program, args, { encoding: 'utf8' }).trim();

/**
 * Debian's package of an installed file, with its version: it says where the source of a copy of the file can be had.
 * @param {string} file
 */
function packageOf(file) {
  const [name = ''] = output('dpkg-query', '--search', file).split(': ');
  return output('dpkg-query', '--show', name).replace(/(:\w+)?\t/, ' '); // from 'libgomp1:amd64<tab>12.2.0-14'
}

/** @param {string} name of a target */
function prebuild(name) {
  const target = targetNamed(name);
  const cross = target.arch === process.arch ? [] : ['--arch', target.arch];
  execFileSync(process.execPath, [join(root, 'scripts', 'build-native.mjs'), ...cross], { stdio: 'inherit' });

  const folder = join(root, 'prebuilds', name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const addon = join(folder, ADDON);
  output(toolFor(target, 'strip'), '-s', '-o', addon, join(root, buildFolder(target), 'Release', ADDON));
  const compiler = toolFor(target, 'g++');
  // npm leaves symbolic links out of a package, so the file itself is copied.
  const openmp = realpathSync(output(compiler, `-print-file-name=${OPENMP}`));
  copyFileSync(openmp, join(folder, OPENMP));
  chmodSync(join(folder, OPENMP), 0o755);

  const info = {
    compiler: output(compiler, '--version').split('\n')[0],
    openmp: packageOf(openmp),
    sha256: Object.fromEntries([ADDON, OPENMP].map((file) => [file, sha256(join(folder, file))])),
  };
  writeFileSync(join(folder, BUILD_INFO), `${JSON.stringify(info, null, 2)}\n`);
  console.log(`prebuilds/${name}: ${info.compiler}; OpenMP from ${info.openmp}`);
}

const names = process.argv.slice(2);
for (const name of names.length > 0 ? names : Object.keys(TARGETS)) prebuild(name);
