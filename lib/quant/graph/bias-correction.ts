import { mismatch } from '../../errors';
import { type Graph, type GraphNode, type GraphTensor, sizeOf, type ValueType } from '../../graph/graph';
import { nodeOf } from '../../graph/rewriter';
import { tensorOf } from '../../graph/tensors';
import type { QuantizationParameters } from '../../integer/layers';
import type { Tensor } from '../../tensor';
import { dequantizeWeights } from '../convolution';
import type { AssembledGraph } from './assemble';
import { Observer } from './observer';
import type { FeedPass, PassOptions } from './statistics';
import { arranged } from './weights';

/** A node with weights, and the same one computed from rounded numbers. */
interface Twin {
  readonly node: GraphNode;
  readonly exact: string;
  readonly rounded: string;
}

/**
 * Bias correction along a graph: what rounding of its input and weights adds to the mean of a node's channel is taken off its
 * bias. Each node reads the exact numbers of the float graph, rounded once, so that one pass does for all of them.
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
          addErrors(
            errors.get(node) as Errors,
            one,
            other,
            limit,
            `${where}, output of ${assembled.plan.float.placeOf(node)}`,
          );
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

/** The float graph with a twin of every node that has weights in integers. */
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

/** How far a layer's output is off in each channel, over the images so far. */
interface Errors {
  readonly sums: Float64Array;
  /** Values that count. */
  readonly counts: Float64Array;
}

function noErrors(channels: number): Errors {
  return { sums: new Float64Array(channels), counts: new Float64Array(channels) };
}

/** A bias without the mean error of its channel. */
function corrected(bias: Float32Array, error: Errors): Float32Array {
  return bias.map((value, channel) => value - mean(error, channel));
}

function mean({ sums, counts }: Errors, channel: number): number {
  return counts[channel] === 0 ? 0 : (sums[channel] as number) / (counts[channel] as number);
}

/**
 * Takes a chunk into account, where values are above `limit` in both models.
 *
 * @throws {QARepVGGError} ERR_NON_FINITE for values that are not finite, as in the pass before, which had other images then.
 */
function addErrors(
  error: Errors,
  { data: exact, dims }: Tensor,
  { data: quantized }: Tensor,
  limit: number,
  where: string,
): void {
  const channels = dims[1] as number;
  const area = sizeOf(dims.slice(2));
  const planes = exact.length / area;
  for (let plane = 0; plane < planes; plane++) {
    let sum = 0;
    let count = 0;
    for (let i = plane * area; i < (plane + 1) * area; i++) {
      const [value, other] = [exact[i] as number, quantized[i] as number];
      if (value <= limit || other <= limit) continue;
      sum += other - value;
      count++;
    }
    if (!Number.isFinite(sum)) throw mismatch('ERR_NON_FINITE', where, 'finite numbers', `errors of ${sum}`);
    (error.sums[plane % channels] as number) += sum;
    (error.counts[plane % channels] as number) += count;
  }
}
