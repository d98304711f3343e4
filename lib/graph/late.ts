import type { Graph, GraphNode } from './graph';
import { opOf } from './ops';

/**
 * Nodes that are computed after the engine has run, because dims depend on data, and all that read them: NonMaxSuppression, and
 * NonZero and Compress of what follows from the numbers of an input.
 */
export function lateNodes({ inputs, nodes }: Pick<Graph, 'inputs' | 'nodes'>): ReadonlySet<GraphNode> {
  const late = new Set<string>();
  const numbers = new Set(inputs.map(({ name }) => name));
  return new Set(
    nodes.filter((node) => {
      const { afterRun, dimsOnly, parameters = [] } = opOf(node);
      const follows = (names: ReadonlySet<string>): boolean => node.inputs.some((name) => names.has(name));
      const isOfInputs = afterRun === 'of inputs' && parameters.some((i) => numbers.has(node.inputs[i] as string));
      const isLate = afterRun === 'always' || isOfInputs || follows(late);
      for (const name of node.outputs) {
        if (isLate) late.add(name);
        if (!dimsOnly && follows(numbers)) numbers.add(name);
      }
      return isLate;
    }),
  );
}
