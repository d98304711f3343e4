import { didYouMean } from '../did-you-mean';
import { describe } from '../errors';
import type { Graph, GraphNode } from '../graph/graph';
import { wrongOption } from '../options';

/**
 * Returns a test for the named nodes. A name may be a pattern, in which `*` matches any characters and `?` matches one. A node of the
 * whole graph that a node of the float graph has absorbed, such as a batch norm, stands for that one.
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG for a name or pattern that matches no node, or none that is computed.
 */
export function keptNodes(wanted: readonly string[], float: Graph, whole: Graph): (node: GraphNode) => boolean {
  const kept = new Set<string>();
  if (wanted.length === 0) return () => false;
  const own = new Set(float.nodes.map(({ name }) => name));
  const known = new Map([...own].map((name) => [name, [name]]));
  const absorbersOf = absorbers(float, whole);
  for (const node of whole.nodes)
    if (!own.has(node.name)) known.set(node.name, [...(known.get(node.name) ?? []), ...absorbersOf(node)]);
  for (const text of wanted) {
    const matches = matcher(text);
    const named = [...known.keys()].filter(matches);
    const found = named.flatMap((name) => known.get(name) ?? []);
    const received =
      describe(text) + (named.length > 0 ? ', of which none is left' : didYouMean(text, [...known.keys()]));
    if (found.length === 0) throw wrongOption('keepFloat', 'names of nodes, or patterns that fit some', received);
    for (const name of found) kept.add(name);
  }
  return ({ name }) => kept.has(name);
}

/** Finds the nodes of the float graph that make what a node of the whole graph is the next to contribute to. */
function absorbers(float: Graph, whole: Graph): (node: GraphNode) => readonly string[] {
  const makers = new Map(float.nodes.flatMap(({ name, outputs }) => outputs.map((value) => [value, name] as const)));
  const readers = new Map<string, GraphNode[]>();
  const live = new Set(whole.inputs.map(({ name }) => name));
  for (const node of whole.nodes) {
    for (const name of node.inputs) readers.set(name, [...(readers.get(name) ?? []), node]);
    if (node.inputs.some((name) => live.has(name))) for (const name of node.outputs) live.add(name);
  }
  return ({ outputs }) => {
    const seen = new Set(outputs.filter((name) => live.has(name)));
    const found = new Set<string>();
    for (const value of seen) {
      const maker = makers.get(value);
      if (maker !== undefined) found.add(maker);
      else for (const reader of readers.get(value) ?? []) for (const name of reader.outputs) seen.add(name);
    }
    return [...found];
  };
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
