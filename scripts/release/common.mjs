/** What the checks of a release share. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BUILD_INFO } from './targets.cjs';

/**
 * @typedef {object} Outcome
 * @property {string} found What was looked at, with its figures.
 * @property {readonly string[]} problems
 */

/** The package's root folder, and what is published, in it. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const release = join(root, 'release');

/**
 * @param {string} program
 * @param {readonly string[]} args
 * @param {string} [cwd]
 */
export const output = (program, args, cwd = root) =>
  execFileSync(program, args, { cwd, encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'pipe'] });

/** @param {string} file */
export const sha256 = (file) => createHash('sha256').update(readFileSync(file)).digest('hex');

/** @param {string} file */
export const read = (file) => readFileSync(join(root, file), 'utf8');

/** @type {{ name: string, version: string }} */
export const manifest = JSON.parse(read('package.json'));

/**
 * @param {string} target
 * @returns {{ compiler: string, openmp: string, sha256: Record<string, string> }}
 */
export const buildInfo = (target) => JSON.parse(read(`prebuilds/${target}/${BUILD_INFO}`));

/**
 * Size on disk of all files of a folder.
 * @param {string} folder
 */
export const sizeOf = (folder) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => lstatSync(join(folder, name)))
    .reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0);

export const MEGABYTE = 1e6;

/** @param {number} bytes */
export const megabytes = (bytes) => `${(bytes / MEGABYTE).toFixed(2)} MB`;

/**
 * @param {string} what
 * @param {number} value
 * @param {number} most
 * @param {(value: number) => string} format
 * @returns {Outcome}
 */
export const atMost = (what, value, most, format) => ({
  found: `${what} ${format(value)}, at most ${format(most)}`,
  problems: value <= most ? [] : [`${what}: ${format(value)}`],
});
