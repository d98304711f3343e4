// The command lines of the benchmarks: `--help` for all, and exit code 2 with the usage for what makes no sense.

import { parseArgs } from 'node:util';

/** @typedef {NonNullable<import('node:util').ParseArgsConfig['options']>} Options as parseArgs has them */

/**
 * The values of a command line. `--help` prints the usage, and that is all.
 *
 * @template {Options} O @param {string} usage @param {O} options
 */
export function readOptions(usage, options) {
  if (process.argv.includes('--help')) {
    console.log(usage);
    process.exit();
  }
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    return refuse(usage, error instanceof Error ? error.message : undefined);
  }
}

/** @param {string} usage @param {string} [reason] @returns {never} */
export function refuse(usage, reason) {
  console.error(reason === undefined ? usage : `${reason}\n${usage}`);
  process.exit(2);
}

/** Whole numbers from 1, as '1,8,32' lists them. @param {string} usage @param {string} list */
export function readCounts(usage, list) {
  const counts = list.split(',').map(Number);
  return counts.every((count) => Number.isInteger(count) && count >= 1) ? counts : refuse(usage);
}

/** One of them. @param {string} usage @param {string} text */
export function readCount(usage, text) {
  const [count, ...others] = readCounts(usage, text);
  return count === undefined || others.length > 0 ? refuse(usage) : count;
}
