// Sides of a comparison that take turns in one run, and what comes out of it. Smaller numbers are better throughout.

import { setTimeout as sleep } from 'node:timers/promises';
import { median } from './numbers.mjs';

/**
 * @typedef {{ min: number, median: number }} Spread
 * @typedef {{ median: number, low: number, high: number }} Ratio theirs / ours: the median round, the range over rounds
 * @typedef {{ label: string, spread: Spread, ratio: Ratio }} Ours
 * @typedef {{ ours: Ours[], theirs: Spread }} Comparison
 */

/** Longer than thread pools spin after their last piece of work. */
export const pauseMs = 50;

/**
 * The first round warms up and does not count.
 *
 * @template S
 * @param {readonly S[]} sides
 * @param {number} rounds
 * @param {(side: S) => Promise<number | number[]>} turn measures something once or more often
 * @returns {Promise<number[][][]>} by side, by round
 */
export async function takeTurns(sides, rounds, turn) {
  /** @type {number[][][]} */
  const results = sides.map(() => []);
  for (let round = 0; round <= rounds; round++) {
    for (const [i, side] of sides.entries()) {
      await sleep(pauseMs);
      const values = [await turn(side)].flat();
      if (round > 0) results[i]?.push(values);
    }
  }
  return results;
}

/**
 * Compares our sides with theirs, which comes last.
 *
 * @param {readonly { label: string }[]} sides @param {number[][][]} results as {@link takeTurns} gives them
 * @returns {Comparison}
 */
export function compare(sides, results) {
  const theirs = results.at(-1) ?? [];
  return {
    ours: sides.slice(0, -1).map(({ label }, i) => {
      const rounds = results[i] ?? [];
      const ratios = rounds.map((values, round) => median(theirs[round] ?? []) / median(values));
      const ratio = { median: median(ratios), low: Math.min(...ratios), high: Math.max(...ratios) };
      return { label, spread: spreadOf(rounds), ratio };
    }),
    theirs: spreadOf(theirs),
  };
}

/** @param {number[][]} rounds @returns {Spread} */
export function spreadOf(rounds) {
  return { min: Math.min(...rounds.flat()), median: median(rounds.flat()) };
}
