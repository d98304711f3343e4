import { quote } from '../../errors';
import type { Graph, GraphNode, GraphTensor, ValueType } from '../../graph/graph';
import { nodeOf } from '../../graph/rewriter';
import { tensorOf } from '../../graph/tensors';
import type { QuantizationParameters } from '../../integer/layers';
import { addErrors, corrected, type Errors, noErrors } from '../bias-correction';
import { dequantizeWeights } from '../convolution';
import type { PassOptions } from '../statistics';
import type { AssembledGraph } from './assemble';
import { Observer } from './observer';
import type { FeedPass } from './statistics';
import { arranged } from './weights';

/** A node with weights, and a copy of it that computes with rounded numbers. */
interface Twin {
  readonly node: GraphNode;
  readonly exact: string;
  readonly rounded: string;
}

/**
 * Bias correction: subtracts from a node's bias what rounding its input and weights adds to the mean of each channel. Each node
 * reads the exact numbers of the float graph, rounded once, so one pass over the images is enough for all nodes.
 *
 * @returns Biases by node.
 */
export async function correctGraphBiases(
  assembled: AssembledGraph,
  { first, chunks }: FeedPass,
  options: PassOptions,
  where: string,
): Promise<Map<GraphNode, Float32Array>> {
  const { wiring } = assembled.plan;
  const { graph, twins } = withTwins(assembled);
  const errors = new Map(
    twins.map(({ node }): [GraphNode, Errors] => [
      node,
      noErrors(assembled.weights.get(node)?.float.bias.length as number),
    ]),
  );
  const names = twins.flatMap(({ exact, rounded }) => [exact, rounded]);
  const observer = new Observer(graph, names, first.count, options, where, 2);
  try {
    for await (const chunk of chunks) {
      for (let part = 0; part < observer.parts; part++) {
        const values = await observer.run(part, chunk);
        for (const { node, exact, rounded } of twins) {
          const [one, other] = [values.get(exact), values.get(rounded)];
          if (!one || !other) continue;
          const isRectified = wiring.stored(node) !== exact;
          const limit = isRectified ? 0 : Number.NEGATIVE_INFINITY;
          addErrors(errors.get(node) as Errors, one, other, limit, `${where}, node ${quote(node.name)}`);
        }
      }
    }
  } finally {
    observer.dispose();
  }
  return new Map(
    [...errors].map(([node, error]) => [
      node,
      corrected(assembled.weights.get(node)?.float.bias as Float32Array, error),
    ]),
  );
}

/** The float graph, and in it a twin of every node that has weights in integers. */
function withTwins({ plan, choices, weights }: AssembledGraph): { graph: Graph; twins: Twin[] } {
  const { graph } = plan.wiring;
  const tensors = new Map(graph.tensors);
  const values = new Map(graph.values);
  const nodes: GraphNode[] = [];
  const known = new Map<string, string>();
  const twins: Twin[] = [];
  const tensor = (name: string, made: GraphTensor): string => {
    tensors.set(name, made);
    values.set(name, { type: made.type, dims: made.dims });
    return name;
  };
  const round = (name: string, { scale, zeroPoint }: QuantizationParameters): string => {
    const done = known.get(name);
    if (done) return done;
    const [bytes, rounded] = [`${name}/twin/bytes`, `${name}/twin/rounded`];
    const named = [
      tensor(`${name}/twin/scale`, tensorOf('float32', [], [scale])),
      tensor(`${name}/twin/zero_point`, tensorOf('uint8', [], [zeroPoint])),
    ];
    const type = values.get(name) as ValueType;
    values.set(bytes, { ...type, type: 'uint8' }).set(rounded, type);
    nodes.push(nodeOf({ name: bytes, outputs: [bytes] }, 'quantizeLinear', [name, ...named]));
    nodes.push(nodeOf({ name: rounded, outputs: [rounded] }, 'dequantizeLinear', [bytes, ...named]));
    known.set(name, rounded);
    return rounded;
  };
  for (const { name } of graph.inputs)
    if (choices.has(name)) round(name, (choices.get(name) as { parameters: QuantizationParameters }).parameters);
  for (const node of graph.nodes) {
    nodes.push(node);
    const found = weights.get(node);
    if (!found) continue;
    const [input = '', , bias = ''] = node.inputs;
    const [exact = ''] = node.outputs;
    const { integers } = found;
    const data = arranged(dequantizeWeights(integers), node, integers.dims);
    const weight = tensor(`${node.name}/twin/weight`, { type: 'float32', dims: integers.dims, data });
    const rounded = `${exact}/twin`;
    const parameters = choices.get(input)?.parameters as QuantizationParameters;
    const inputs = [round(input, parameters), weight, ...(bias ? [bias] : [])];
    nodes.push({ ...node, name: rounded, inputs, outputs: [rounded] });
    values.set(rounded, values.get(exact) as ValueType);
    twins.push({ node, exact, rounded });
  }
  return { graph: { ...graph, nodes, tensors, values }, twins };
}
