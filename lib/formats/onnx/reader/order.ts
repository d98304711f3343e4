import type { GraphNode } from '../../../graph/graph';
import type { Faults } from './faults';

/**
 * Sorts nodes so that each follows those that it reads; keeps the order if it is one already. Reports a node that reads a value
 * which nothing makes, is part of a cycle, or makes a value that exists already.
 */
export function inOrder(nodes: readonly GraphNode[], given: ReadonlySet<string>, faults: Faults): GraphNode[] {
  const made = new Set(given);
  for (const node of nodes) {
    for (const output of node.outputs) {
      if (output !== '' && made.has(output)) faults.damaged(node.name, `defines ${output} a second time`);
      made.add(output);
    }
  }
  const done = new Set(given).add('');
  const readers = new Map<string, GraphNode[]>();
  const missing = new Map<GraphNode, number>();
  const ordered: GraphNode[] = [];
  const queue: GraphNode[] = [];
  const place = (node: GraphNode): void => {
    ordered.push(node);
    for (const output of node.outputs) {
      done.add(output);
      for (const reader of readers.get(output) ?? []) {
        const count = (missing.get(reader) as number) - 1;
        missing.set(reader, count);
        if (count === 0) queue.push(reader);
      }
      readers.delete(output);
    }
  };
  for (const node of nodes) {
    const open = node.inputs.filter((input, i) => !done.has(input) && node.inputs.indexOf(input) === i);
    if (open.length > 0) missing.set(node, open.length);
    for (const input of open) {
      const others = readers.get(input);
      if (others) others.push(node);
      else readers.set(input, [node]);
    }
    if (open.length === 0) queue.push(node);
    for (let next = queue.shift(); next; next = queue.shift()) place(next);
  }
  for (const [input, waiting] of readers) {
    const problem = made.has(input) ? 'which depends on it' : 'which no node computes';
    for (const node of waiting) faults.damaged(node.name, `reads ${input}, ${problem}`);
  }
  return ordered;
}
