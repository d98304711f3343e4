import { describeList } from '../../errors';
import { sizeOf } from '../graph';
import { attribute, defineOp, knownDims, type OpNode, operand, optionalAttribute, type SketchNode, unfit } from './op';
import { checkWindow, planeWindow, splitPads, type Window, windowAttributes, windowOf } from './window';

const attributes = {
  ...windowAttributes,
  group: attribute('int', 1),
  output_padding: optionalAttribute('ints'),
  output_shape: optionalAttribute('ints'),
};

type TransposeNode = OpNode<typeof attributes>;

/** Inputs: x [n, c, ...], weight [c, out / group, ...kernel], bias [out]. */
export const convTranspose = defineOp({
  onnx: 'ConvTranspose',
  inputs: [2, 3],
  parameters: [1, 2],
  attributes,
  check(node) {
    checkWindow(node, knownDims(node, 1)?.slice(2));
    checkChannels(node);
  },
  infer(node) {
    checkChannels(node);
    const [x, weight] = [operand(node, 0), operand(node, 1)];
    const outputs = (weight.dims[1] as number) * node.attributes.group;
    return [{ type: x.type, dims: [x.dims[0] as number, outputs, ...read(node).lengths] }];
  },
  isPerImage: true,
  macs(node) {
    return sizeOf(operand(node, 0).dims) * sizeOf(operand(node, 1).dims.slice(1));
  },
  lower(node) {
    const { window, outputPadding } = read(node);
    return {
      op: 'convTranspose',
      attributes: { ...planeWindow(node, window), group: node.attributes.group, outputPadding },
    };
  },
});

function checkChannels(node: SketchNode<typeof attributes>): void {
  const [weight, bias, x] = [knownDims(node, 1), knownDims(node, 2), node.inputs[0]?.dims];
  if (!weight) return;
  const { group } = node.attributes;
  const channels = typeof x?.[1] === 'number' ? x[1] : (weight[0] as number);
  if (weight.length !== (x?.length ?? weight.length) || weight[0] !== channels || !(channels % group === 0)) {
    const given = x ? ` for an input of ${x.length} dims with ${channels} channels` : '';
    throw unfit(node, `weights [${channels}, outputs / group, ...kernel]${given}`, describeList(weight));
  }
  const outputs = (weight[1] as number) * group;
  if (bias && sizeOf(bias) !== outputs) throw unfit(node, `a bias of ${outputs}`, describeList(bias));
}

/** Reads the window. If the file asks for an output shape or automatic padding, the surplus is cut off as padding. */
function read(node: TransposeNode): { window: Window; outputPadding: readonly number[]; lengths: number[] } {
  const [x, weight] = [operand(node, 0), operand(node, 1)];
  const { auto_pad: auto, output_padding: padding, output_shape: shape } = node.attributes;
  const automatic = auto === 'SAME_UPPER' || auto === 'SAME_LOWER';
  const given = windowOf(node, x.dims, weight.dims.slice(2));
  const rank = given.kernel.length;
  const outputPadding = padding ?? Array<number>(rank).fill(0);
  const wanted =
    shape?.slice(-rank) ?? (automatic ? given.strides.map((s, i) => s * (x.dims[i + 2] as number)) : undefined);
  const full = given.kernel.map((size, i) => {
    const steps = ((x.dims[i + 2] as number) - 1) * (given.strides[i] as number);
    return steps + (outputPadding[i] as number) + (size - 1) * (given.dilations[i] as number) + 1;
  });
  // The odd pixel goes to the end opposite to that of a convolution.
  const pads = wanted
    ? splitPads(
        full.map((length, i) => Math.max(0, length - (wanted[i] as number))),
        auto === 'SAME_UPPER' ? 'SAME_UPPER' : 'SAME_LOWER',
      )
    : given.pads;
  const lengths = full.map((length, i) => length - (pads[i] as number) - (pads[i + rank] as number));
  if (
    outputPadding.length !== rank ||
    outputPadding.some((p) => !(p >= 0)) ||
    lengths.some((length) => !(length > 0))
  ) {
    throw unfit(node, 'an output of one pixel or more', describeList(lengths));
  }
  if (wanted && !lengths.every((length, i) => length === wanted[i])) {
    // The output is longer than the kernel reaches: zeros at its end, as padding of the output.
    const more = lengths.map((length, i) => (wanted[i] as number) - length);
    return {
      window: { ...given, pads },
      outputPadding: outputPadding.map((p, i) => p + (more[i] as number)),
      lengths: [...wanted],
    };
  }
  return { window: { ...given, pads }, outputPadding, lengths };
}
