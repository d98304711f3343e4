import type { Graph, GraphNode } from '../graph';
import { nodeOf, Rewriter } from '../rewriter';

/**
 * Makes one node of a squeeze-and-excitation: x * sigmoid(linear(relu(linear(mean(x))))). The engine computes means and gates of
 * an image while it is in the cache.
 */
export function findSqueezeExcite(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  for (const node of rewriter.nodes('mul')) {
    const found = node.activation ? undefined : squeezeExcite(node, rewriter);
    if (!found) continue;
    const inputs = [found.source, ...found.layers.flatMap((layer) => matrixAndBias(layer, rewriter))];
    rewriter.replace(node, nodeOf(node, 'squeezeExcite', inputs));
    for (const part of found.nodes) rewriter.remove(part);
  }
  return rewriter.finish();
}

interface Found {
  readonly source: string;
  readonly layers: readonly GraphNode[];
  readonly nodes: readonly GraphNode[];
}

function squeezeExcite({ inputs }: GraphNode, rewriter: Rewriter): Found | undefined {
  for (const [source, gate] of [inputs, [...inputs].reverse()] as [string, string][]) {
    const nodes: GraphNode[] = [];
    for (const op of ['sigmoid', 'conv', 'relu', 'conv', 'globalAveragePool']) {
      const node = rewriter.soleMaker(nodes.at(-1)?.inputs[0] ?? gate);
      if (node?.op !== op || node.activation || (op === 'conv' && !isLinear(node, rewriter))) break;
      nodes.push(node);
    }
    const [, up, , down, mean] = nodes;
    if (mean?.inputs[0] !== source || rewriter.dims(source).length !== 4) continue;
    return { source, layers: [down as GraphNode, up as GraphNode], nodes };
  }
  return undefined;
}

/** Whether a convolution is a linear layer: one tap, one group, constant weights. */
function isLinear({ inputs, attributes }: GraphNode, rewriter: Rewriter): boolean {
  const [, weight, bias, ...others] = inputs;
  const kernel = rewriter.tensor(weight)?.dims.slice(2) ?? [];
  const { group, pads = [], strides = [] } = attributes as { group: number; pads?: number[]; strides?: number[] };
  const isPlain = group === 1 && pads.every((pad) => pad === 0) && strides.every((stride) => stride === 1);
  return isPlain && others.length === 0 && `${kernel}` === '1,1' && rewriter.tensor(bias) !== undefined;
}

function matrixAndBias({ inputs: [, weight = '', bias = ''] }: GraphNode, rewriter: Rewriter): readonly string[] {
  const { type, dims, data } = rewriter.tensor(weight) as NonNullable<ReturnType<Rewriter['tensor']>>;
  return [rewriter.addTensor(`${weight}/matrix`, { type, dims: dims.slice(0, 2), data }), bias];
}
