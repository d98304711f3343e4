import { didYouMean } from '../did-you-mean';
import { describe } from '../errors';
import type { Graph } from '../graph/graph';
import { wrongOption } from '../options';

/**
 * Returns a test for the named nodes. A name may be a pattern, in which `*` matches any characters and `?` matches one.
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG for a name or pattern that matches no node.
 */
export function keptNames(wanted: readonly string[], graphs: readonly Graph[]): (name: string) => boolean {
  const known = new Set(graphs.flatMap(({ nodes }) => nodes.map(({ name }) => name)));
  const matchers = wanted.map((text) => {
    const matches = matcher(text);
    if (known.has(text) || [...known].some(matches)) return matches;
    const received = describe(text) + didYouMean(text, [...known]);
    throw wrongOption('keepFloat', 'names of nodes, or patterns that fit some', received);
  });
  return (name) => matchers.some((matches) => matches(name));
}

function matcher(text: string): (name: string) => boolean {
  if (!/[*?]/.test(text)) return (name) => name === text;
  const parts = text.split(/([*?])/).map((part) => (part === '*' ? '.*' : part === '?' ? '.' : escaped(part)));
  const pattern = new RegExp(`^${parts.join('')}$`, 's');
  // The name of a node may contain these characters.
  return (name) => name === text || pattern.test(name);
}

function escaped(text: string): string {
  return text.replace(/[\\^$.|+()[\]{}]/g, '\\$&');
}
