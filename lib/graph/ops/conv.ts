import { describeList } from '../../errors';
import { type GraphNode, sizeOf } from '../graph';
import { type Builder, Writer } from './builder';
import { attribute, defineOp, knownDims, type OpNode, operand, type SketchNode, unfit } from './op';
import { checkWindow, planeWindow, slide, type Window, windowAttributes, windowOf } from './window';

const attributes = { ...windowAttributes, group: attribute('int', 1) };

/** The engine's kernels have at most this many taps. */
const maxTaps = 256;

type ConvNode = OpNode<typeof attributes>;

/**
 * Inputs: x [n, c, ...], weight [out, c / group, ...kernel], bias [out]. Passes may append a fourth input with the output's dims,
 * which is added before the activation.
 */
export const conv = defineOp({
  onnx: 'Conv',
  inputs: [2, 3],
  attributes,
  check: checkConv,
  infer(node) {
    checkChannels(node);
    return [{ type: operand(node, 0).type, dims: outputDims(node) }];
  },
  writeOut(node, builder) {
    const window = read(node);
    const length = Math.floor(maxTaps / sizeOf(window.kernel.slice(0, -1)));
    return sizeOf(window.kernel) <= maxTaps || length < 1 ? undefined : sumOfShorter(node, window, length, builder);
  },
  isPerImage: ({ inputs: [, weight, bias] }) => weight?.tensor !== undefined && (!bias || bias.tensor !== undefined),
  macs: (node) => sizeOf(outputDims(node)) * sizeOf(operand(node, 1).dims.slice(1)),
  lower(node) {
    return { op: 'conv', attributes: { ...planeWindow(node, read(node)), group: node.attributes.group } };
  },
});

/** Dims of the output, from the first two inputs. */
export function convDims(node: OpNode): number[] {
  return outputDims(node as ConvNode);
}

/** The window of a convolution; its kernel has the size of the weights. */
export function convWindow(node: OpNode): Window {
  return read(node as ConvNode);
}

/** Expresses a long kernel as a sum of shorter ones, cut along the last axis. Each reads the pixels that its part would read. */
function sumOfShorter(node: ConvNode, window: Window, length: number, builder: Builder): GraphNode {
  const write = new Writer(node.node, builder);
  const [x = '', weight = '', bias = ''] = node.node.inputs;
  const { kernel, dilations, pads } = window;
  const axis = kernel.length - 1;
  const [size, dilation] = [kernel[axis] as number, dilations[axis] as number];
  const cut = (name: string, from: number, to: number): string =>
    write.add('slice', [name, write.integers([from]), write.integers([to]), write.integers([axis + 2])]);
  const extent = operand(node, 0).dims[axis + 2] as number;
  const parts = Array.from({ length: Math.ceil(size / length) }, (_, i) => {
    const [from, to] = [i * length, Math.min(size, (i + 1) * length)];
    // Negative padding crops the input.
    const before = (pads[axis] as number) - from * dilation;
    const after = (pads[axis + kernel.length] as number) - (size - to) * dilation;
    const isCut = before < 0 || after < 0;
    const seen = isCut ? cut(x, Math.max(0, -before), extent + Math.min(0, after)) : x;
    const padding = pads.map((pad, j) => (j === axis ? before : j === axis + kernel.length ? after : pad));
    return write.add('conv', [seen, cut(weight, from, to), ...(bias && i === 0 ? [bias] : [])], {
      ...node.node.attributes,
      auto_pad: 'NOTSET',
      kernel_shape: kernel.map((side, j) => (j === axis ? to - from : side)),
      pads: padding.map((pad) => Math.max(0, pad)),
    });
  });
  const last = parts.pop() as string;
  return write.last('add', [parts.reduce((sum, part) => write.add('add', [sum, part])), last]);
}

function read(node: ConvNode): Window {
  return windowOf(node, operand(node, 0).dims, operand(node, 1).dims.slice(2));
}

function outputDims(node: ConvNode): number[] {
  const [{ dims }, weight] = [operand(node, 0), operand(node, 1)];
  return [dims[0] as number, weight.dims[0] as number, ...slide(node, dims, read(node))];
}

/** The `check` of a convolution whose weights are its second input. */
export function checkConv(node: SketchNode<typeof attributes>): void {
  checkWindow(node, knownDims(node, 1)?.slice(2));
  checkChannels(node);
}

function checkChannels(node: SketchNode<typeof attributes>): void {
  const [weight, bias, x] = [knownDims(node, 1), knownDims(node, 2), node.inputs[0]?.dims];
  if (!weight) return;
  const { group } = node.attributes;
  const [outputs, depth] = weight as [number, number];
  const channels = x?.[1] ?? depth * group;
  const isOpen = typeof channels === 'string';
  if (
    weight.length !== (x?.length ?? weight.length) ||
    !(group >= 1 && outputs % group === 0) ||
    !(isOpen || depth * group === channels)
  ) {
    const expected = `weights [outputs, ${isOpen ? channels : channels / group}, ...kernel]`;
    const given = x ? ` for an input of ${x.length} dims with ${channels} channels` : '';
    throw unfit(node, `${expected}${given} in ${group} groups`, describeList(weight));
  }
  if (bias && sizeOf(bias) !== outputs) throw unfit(node, `a bias of ${outputs}`, describeList(bias));
}
