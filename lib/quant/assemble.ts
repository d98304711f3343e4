import { stepsWithin, within } from '../errors';
import type { Graph, GraphNode } from '../graph/graph';
import { writeAffine } from '../graph/passes/affine';
import { removeDead } from '../graph/passes/remove-dead';
import { roundTensors } from '../graph/passes/round-tensors';
import { letOthersRun } from '../runtime/abort';
import { inSlices } from '../slices';
import { expressActivations } from './express';
import { insertRounding, type RoundedGraph } from './insert';
import type { CheckedQuantizeOptions } from './options';
import type { ValueChoice } from './parameters';
import type { IntegerPlan } from './plan';
import { integerWeights, type NodeWeights, type WrittenWeights, weightsOf } from './weights';

/** The quantised graph that a plan leads to. */
export interface AssembledGraph extends RoundedGraph {
  readonly plan: IntegerPlan;
  readonly choices: ReadonlyMap<string, ValueChoice>;
  /** The weights of the nodes that have them in integers. */
  readonly weights: ReadonlyMap<GraphNode, NodeIntegers>;
}

/** The weights of a node, before and after. */
export interface NodeIntegers {
  readonly float: NodeWeights;
  readonly integers: WrittenWeights;
}

/**
 * Makes the graph in QDQ form from a plan and the chosen parameters.
 *
 * @throws {QARepVGGError} ERR_NON_FINITE for weights, ERR_QUANT_PARAM; both name the node.
 */
export async function assembleGraph(
  plan: IntegerPlan,
  choices: ReadonlyMap<string, ValueChoice>,
  { perChannel, bits, signal }: Pick<CheckedQuantizeOptions, 'perChannel' | 'bits' | 'signal'>,
  /** Replace the graph's biases. */
  biases: ReadonlyMap<GraphNode, Float32Array> = new Map(),
): Promise<AssembledGraph> {
  const { wiring } = plan;
  const { tensors } = wiring.graph;
  const weights = new Map<GraphNode, NodeIntegers>();
  for (const node of plan.nodes) {
    if (wiring.roles.get(node) !== 'compute') continue;
    await letOthersRun(signal);
    const place = plan.float.placeOf(node);
    const own = within(place, () => weightsOf(node, tensors));
    const float = { ...own, bias: biases.get(node) ?? own.bias };
    const { dims } = tensors.get(node.inputs[1] as string) as { dims: readonly number[] };
    const input = choices.get(node.inputs[0] as string) as ValueChoice;
    const output = choices.get(wiring.stored(node)) ?? choices.get(node.outputs[0] as string);
    const pair = [input.parameters, output?.parameters] as const;
    const quantizing = integerWeights(node, float, dims, pair, { perChannel, bits: bits.weights });
    const integers = await inSlices(stepsWithin(place, quantizing));
    weights.set(node, { float, integers });
  }
  const parameters = new Map([...choices].map(([name, choice]) => [name, choice.parameters]));
  const written = new Map([...weights].map(([node, { integers }]) => [node, integers]));
  const { graph, names } = insertRounding({ plan, parameters, weights: written });
  return { plan, choices, weights, graph: portable(graph), names };
}

/** Rewrites a graph in operators that ONNX files can have. */
function portable(graph: Graph): Graph {
  return roundTensors(removeDead(writeAffine(expressActivations(graph))));
}
