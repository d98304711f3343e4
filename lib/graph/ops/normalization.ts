import { describeList } from '../../errors';
import { type GraphNode, sizeOf } from '../graph';
import { tensorOf } from '../tensors';
import { type Builder, Writer } from './builder';
import {
  attribute,
  axesOf,
  defineOp,
  namedAxis,
  type OpNode,
  operand,
  requiredAttribute,
  unfit,
  unsupported,
} from './op';

/** Normalises over all axes from `axis` on. Inputs: x, scale, bias. */
export const layerNormalization = defineOp({
  onnx: 'LayerNormalization',
  inputs: [2, 3],
  attributes: { axis: attribute('int', -1), epsilon: attribute('float', 1e-5), stash_type: attribute('int', 1) },
  isPerImage: (node) => namedAxis(node) !== 0,
  infer: (node) => [{ type: operand(node, 0).type, dims: operand(node, 0).dims }],
  writeOut(node, builder) {
    const write = new Writer(node.node, builder);
    const axis = namedAxis(node);
    const { epsilon } = node.attributes;
    const [x = '', scale = '', bias = ''] = node.node.inputs;
    const size = sizeOf(operand(node, 0).dims.slice(axis));
    if ([1, 2].every((i) => !node.inputs[i] || sizeOf(operand(node, i).dims) === size))
      return write.last('normalize', bias ? [x, scale, bias] : [x, scale], { axis, epsilon, channels: 0 });
    const normal = write.add('normalize', [x], { axis, epsilon, channels: 0 });
    return bias ? write.last('add', [write.add('mul', [normal, scale]), bias]) : write.last('mul', [normal, scale]);
  },
});

/** Normalises every channel of every image. Inputs: x, scale and bias, each [c]. */
export const instanceNormalization = defineOp({
  onnx: 'InstanceNormalization',
  inputs: [3, 3],
  attributes: { epsilon: attribute('float', 1e-5) },
  isPerImage: true,
  infer: (node) => [{ type: operand(node, 0).type, dims: operand(node, 0).dims }],
  writeOut: ({ node, attributes: { epsilon } }, builder) =>
    new Writer(node, builder).last('normalize', node.inputs, { axis: 2, epsilon, channels: 1 }),
});

/**
 * Normalises what lies behind the axes before `axis`. Optional inputs behind x, scale and bias, have a number for each element
 * of it, or with `channels` for each index of the axis before. Not an operator of ONNX: others are written as it.
 */
export const normalize = defineOp({
  onnx: '',
  inputs: [1, 3],
  attributes: {
    axis: requiredAttribute('int'),
    epsilon: requiredAttribute('float'),
    channels: attribute('int', 0),
  },
  isPerImage: ({ attributes: { axis, channels } }) => axis > channels,
  infer: (node) => [{ type: operand(node, 0).type, dims: operand(node, 0).dims }],
  lower: ({ attributes: { axis, epsilon, channels } }) => ({
    op: 'normalize',
    attributes: { axis, epsilon, channels: channels === 1 },
  }),
});

/**
 * Normalises groups of channels of every image. Inputs: x, scale and bias, each [c], or in opset 18 one number for each group.
 */
export const groupNormalization = defineOp({
  onnx: 'GroupNormalization',
  inputs: [3, 3],
  attributes: {
    epsilon: attribute('float', 1e-5),
    num_groups: requiredAttribute('int'),
    stash_type: attribute('int', 1),
  },
  isPerImage: true,
  infer(node) {
    const { type, dims } = operand(node, 0);
    const { num_groups: groups } = node.attributes;
    const [channels = 0, lists] = [dims[1], [1, 2].map((i) => sizeOf(operand(node, i).dims))];
    const fits = groups >= 1 && channels % groups === 0 && dims.length > 1;
    if (!fits || lists.some((length) => length !== channels && length !== groups)) {
      const expected = `channels in ${groups} groups, with a scale and bias for each`;
      throw unfit(node, expected, `dims ${describeList(dims)} and ${lists.join(' and ')} numbers`);
    }
    return [{ type, dims }];
  },
  writeOut(node, builder) {
    const write = new Writer(node.node, builder);
    const { dims } = operand(node, 0);
    const { num_groups: groups, epsilon } = node.attributes;
    const channels = dims[1] as number;
    const ofChannels = (i: number): string => {
      const name = node.node.inputs[i] as string;
      const isWhole = sizeOf(operand(node, i).dims) === channels;
      const group = Array.from({ length: channels }, (_, c) => Math.floor((c * groups) / channels));
      return write.reshape(isWhole ? name : write.add('gather', [name, write.integers(group)], { axis: 0 }), [
        channels,
        ...dims.slice(2).map(() => 1),
      ]);
    };
    const lines = write.reshape(node.node.inputs[0] as string, [0, groups, -1]);
    const normal = write.add('normalize', [lines], { axis: 2, epsilon, channels: 0 });
    const whole = write.reshape(normal, [0, ...dims.slice(1)]);
    return write.last('add', [write.add('mul', [whole, ofChannels(1)]), ofChannels(2)]);
  },
});

/** Divides by the sum of absolute values or the root of the sum of squares along an axis. */
export const lpNormalization = defineOp({
  onnx: 'LpNormalization',
  inputs: [1, 1],
  attributes: { axis: attribute('int', -1), p: attribute('int', 2) },
  isPerImage: (node) => namedAxis(node) !== 0,
  check(node) {
    if (node.attributes.p !== 1 && node.attributes.p !== 2)
      throw unsupported(node, 'p 1 or 2', String(node.attributes.p));
  },
  infer: (node) => [{ type: operand(node, 0).type, dims: operand(node, 0).dims }],
  writeOut(node, builder) {
    const write = new Writer(node.node, builder);
    const [x = ''] = node.node.inputs;
    const axes = write.integers([namedAxis(node)]);
    const length = write.add(node.attributes.p === 1 ? 'reduceL1' : 'reduceL2', [x, axes], {
      keepdims: 1,
      noop_with_empty_axes: 0,
    });
    // Zeros stay zeros.
    return write.last('div', [x, write.add('max', [length, write.number(smallest)])]);
  },
});

/** The smallest number that is not denormal. */
const smallest = 2 ** -126;

/** Axes behind the channels. */
export function spatialAxes(node: OpNode): number[] {
  return operand(node, 0)
    .dims.slice(2)
    .map((_, i) => i + 2);
}

/** Normalises over some axes; scale and bias, inputs 1 and 2, are those of channels. */
export function channelNorm(node: OpNode, axes: readonly number[], epsilon: number, builder: Builder): GraphNode {
  const write = new Writer(node.node, builder);
  const shape = [sizeOf(operand(node, 1).dims), ...spatialAxes(node).map(() => 1)];
  const [x = '', ...lists] = node.node.inputs.slice(0, 3);
  const [scale = '', bias = ''] = lists.map((name) => write.reshape(name, shape));
  const normal = write.add('div', centredAndDeviation(write, x, axes, epsilon));
  return write.last('add', [write.add('mul', [normal, scale]), bias]);
}

/** x - mean, and sqrt(variance + epsilon) */
function centredAndDeviation(write: Writer, x: string, axes: readonly number[], epsilon: number): [string, string] {
  const along = write.integers(axes);
  const mean = (name: string): string =>
    write.add('reduceMean', [name, along], { keepdims: 1, noop_with_empty_axes: 0 });
  const centred = write.add('sub', [x, mean(x)]);
  const variance = mean(write.add('mul', [centred, centred]));
  return [centred, write.add('sqrt', [write.add('add', [variance, write.number(epsilon)])])];
}

/** x minus its mean, divided by its deviation, along some axes. */
export const meanVarianceNormalization = defineOp({
  onnx: 'MeanVarianceNormalization',
  inputs: [1, 1],
  attributes: { axes: attribute('ints', [0, 2, 3]) },
  isPerImage: (node) => !axesOf(node, node.attributes.axes, operand(node, 0).dims.length).includes(0),
  infer: (node) => [{ type: operand(node, 0).type, dims: operand(node, 0).dims }],
  writeOut(node, builder) {
    const write = new Writer(node.node, builder);
    const [x = ''] = node.node.inputs;
    const axes = axesOf(node, node.attributes.axes, operand(node, 0).dims.length);
    // ONNX adds 1e-9 to the deviation, which is the same but for deviations near that.
    return write.last('div', centredAndDeviation(write, x, axes, 1e-18));
  },
});

/** The channels that LRN normalises: it has a weight for each pair of them. */
const maxNormalized = 4096;

/** x / (bias + alpha / size * sum of squares)^beta, summed over as many neighbouring channels. */
export const localResponseNormalization = defineOp({
  onnx: 'LRN',
  inputs: [1, 1],
  attributes: {
    size: requiredAttribute('int'),
    alpha: attribute('float', 1e-4),
    beta: attribute('float', 0.75),
    bias: attribute('float', 1),
  },
  isPerImage: true,
  check(node) {
    const { size } = node.attributes;
    if (size < 1) throw unsupported(node, 'a size of at least 1', String(size));
  },
  infer(node) {
    const { type, dims } = operand(node, 0);
    const channels = dims[1] ?? 0;
    if (channels > maxNormalized) throw unsupported(node, `at most ${maxNormalized} channels`, String(channels));
    return [{ type, dims }];
  },
  writeOut(node, builder) {
    const write = new Writer(node.node, builder);
    const { size, alpha, beta, bias } = node.attributes;
    const [x = ''] = node.node.inputs;
    const { dims } = operand(node, 0);
    const [, channels = 1] = dims;
    // The sum is a convolution of 1x1, whose weights are a band around the diagonal.
    const before = Math.floor((size - 1) / 2);
    const weights = new Float32Array(channels * channels);
    for (let to = 0; to < channels; to++)
      weights.fill(
        alpha / size,
        to * channels + Math.max(0, to - before),
        to * channels + Math.min(channels, to - before + size),
      );
    const kernel = [channels, channels, ...dims.slice(2).map(() => 1)];
    const sums = write.add(
      'conv',
      [
        write.add('mul', [x, x]),
        write.tensor({ type: 'float32', dims: kernel, data: weights }),
        write.tensor(tensorOf('float32', [channels], Array(channels).fill(bias))),
      ],
      { auto_pad: 'NOTSET', group: 1 },
    );
    // The power as e^(-beta ln).
    const power = write.add('exp', [write.add('mul', [write.add('log', [sums]), write.number(-beta)])]);
    return write.last('mul', [x, power]);
  },
});
