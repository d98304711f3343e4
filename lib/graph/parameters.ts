import type { Graph } from './graph';
import { opOf } from './ops';

/** Names of the inputs whose numbers must be known to compile the graph: shapes, axes and the like depend on them. */
export function parameterInputs(graph: Graph): ReadonlySet<string> {
  const needed = new Set<string>();
  for (const node of [...graph.nodes].reverse()) {
    const { parameters = [], dimsOnly } = opOf(node);
    const isNeeded = !dimsOnly && node.outputs.some((name) => needed.has(name));
    node.inputs.forEach((name, i) => {
      if (name !== '' && (isNeeded || parameters.includes(i))) needed.add(name);
    });
  }
  return new Set(graph.inputs.map(({ name }) => name).filter((name) => needed.has(name)));
}
