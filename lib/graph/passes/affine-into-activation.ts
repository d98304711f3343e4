import type { Graph, GraphNode } from '../graph';
import { Rewriter } from '../rewriter';

/** Moves an Affine with equal numbers for all channels into the activation before it. */
export function affineIntoActivation(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  for (const node of rewriter.nodes('affine')) {
    const [scale, shift] = node.activation ? [] : [one(node, 'scale'), one(node, 'shift')];
    const maker = rewriter.soleMaker(node.inputs[0]);
    if (scale === undefined || shift === undefined || !maker?.activation || !takesMore(maker)) continue;
    rewriter.remove(maker);
    rewriter.replace(node, { ...maker, outputs: node.outputs, activation: { ...maker.activation, scale, shift } });
  }
  return rewriter.finish();
}

/** An activation takes only one factor and one summand: combining two would round once where the graph rounds twice. */
function takesMore({ op, activation }: GraphNode): boolean {
  const isPlain = activation?.scale === undefined && activation?.shift === undefined;
  return isPlain && (op === 'conv' || op === 'convTranspose');
}

/** The number, if all channels have the same. */
function one({ attributes }: GraphNode, name: 'scale' | 'shift'): number | undefined {
  const list = attributes[name] as readonly number[];
  return list.every((number) => Object.is(number, list[0])) ? list[0] : undefined;
}
