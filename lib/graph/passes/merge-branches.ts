import { type Graph, type GraphNode, type GraphTensor, sameDims, sizeOf } from '../graph';
import { convWindow } from '../ops/conv';
import { type Window, windowOf } from '../ops/window';
import { nodeOf, Rewriter } from '../rewriter';
import { numbersOf } from '../tensors';

/** A linear function of the pixels of `source` under a window. */
interface Branch {
  readonly source: string;
  /** The nodes that compute it. */
  readonly nodes: readonly GraphNode[];
  readonly window: Window;
  /** Weights of a convolution; without them, `scale` multiplies each channel, at every tap. */
  readonly weight?: GraphTensor;
  readonly group?: number;
  readonly scale?: readonly number[];
  readonly bias?: ArrayLike<number> | undefined;
}

/**
 * Merges the sum of two branches that read the same value into one convolution, by adding their kernels in double. A value that
 * is added to its own convolution, perhaps scaled, is a kernel with one tap; an average is a kernel of equal taps. So the
 * branches of RepVGG, QARepVGG and MobileOne become one convolution, whichever tool exported them.
 */
export function mergeBranches(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  for (const sum of rewriter.nodes('add')) {
    const dims = rewriter.dims(sum.outputs[0]);
    if (dims.length !== 4) continue;
    if (!sum.inputs.every((name) => sameDims(rewriter.dims(name), dims))) continue;
    const found = pair(branchesOf(sum.inputs[0] as string, rewriter), branchesOf(sum.inputs[1] as string, rewriter));
    const merged = found && merge(found, sum, rewriter);
    if (!merged) continue;
    rewriter.replace(sum, merged);
    for (const node of found.flatMap(({ nodes }) => nodes)) rewriter.remove(node);
  }
  return rewriter.finish();
}

/** The branches that a value may be: the output of one, and the value itself as a kernel with one tap. */
function branchesOf(name: string, rewriter: Rewriter): Branch[] {
  const dims = rewriter.dims(name);
  const itself = { source: name, nodes: [], window: oneTap(dims), scale: Array<number>(dims[1] ?? 0).fill(1) };
  const found = convolution(name, rewriter) ?? perChannel(name, rewriter);
  return found ? [found, itself] : [itself];
}

function convolution(name: string, rewriter: Rewriter): Branch | undefined {
  const node = rewriter.soleMaker(name);
  if (node?.op !== 'conv' || node.activation) return undefined;
  const [source = '', weightName, biasName, addend] = node.inputs;
  const [weight, bias] = [rewriter.tensor(weightName), rewriter.tensor(biasName)];
  if (!weight || addend || (biasName && !bias)) return undefined;
  const window = convWindow(rewriter.view(node));
  return {
    source,
    nodes: [node],
    window,
    weight,
    group: node.attributes.group as number,
    bias: bias && numbersOf(bias),
  };
}

/** A branch that consists of an Affine, an average, or one after the other. */
function perChannel(name: string, rewriter: Rewriter): Branch | undefined {
  const node = rewriter.soleMaker(name);
  if (!node || node.activation) return undefined;
  const [source = ''] = node.inputs;
  const dims = rewriter.dims(source);
  if (node.op === 'affine') {
    const { scale, shift } = node.attributes as unknown as { scale: number[]; shift: number[] };
    const average = perChannel(source, rewriter);
    if (!average || average.bias) return { source, nodes: [node], window: oneTap(dims), scale, bias: shift };
    const scales = scale.map((value, c) => value * (average.scale?.[c] as number));
    return { ...average, nodes: [node, ...average.nodes], scale: scales, bias: shift };
  }
  if (node.op !== 'averagePool') return undefined;
  const window = windowOf(rewriter.view(node) as never, dims);
  const isPlain = node.attributes.count_include_pad === 1 || window.pads.every((count) => count === 0);
  if (!isPlain || node.attributes.ceil_mode !== 0) return undefined;
  return { source, nodes: [node], window, scale: Array(dims[1] ?? 0).fill(1 / sizeOf(window.kernel)) };
}

/** A branch of each side with the same source; the first is a convolution. */
function pair(left: readonly Branch[], right: readonly Branch[]): readonly [Branch, Branch] | undefined {
  for (const a of left) {
    for (const b of right) {
      if (a.source === b.source && (a.weight || b.weight)) return a.weight ? [a, b] : [b, a];
    }
  }
  return undefined;
}

function merge([conv, other]: readonly [Branch, Branch], sum: GraphNode, rewriter: Rewriter): GraphNode | undefined {
  const { weight, group = 1, nodes } = conv;
  const [outputs, depth] = (weight as GraphTensor).dims as [number, number];
  // A scale per channel is a diagonal matrix, which must be square.
  const fits = other.weight ? other.group === group : outputs === depth * group && other.scale?.length === outputs;
  const large = sizeOf(other.window.kernel) > sizeOf(conv.window.kernel) ? other.window : conv.window;
  const offsets = [conv, other].map(({ window }) => offsetIn(large, window));
  if (!fits || !offsets[0] || !offsets[1]) return undefined;
  const data = new Float64Array(outputs * depth * sizeOf(large.kernel));
  for (const [i, branch] of [conv, other].entries())
    addKernel(data, branch, placesOf(large, branch.window, offsets[i] as number[]), depth);
  const bias = Float64Array.from({ length: outputs }, (_, c) => (conv.bias?.[c] ?? 0) + (other.bias?.[c] ?? 0));
  const [node] = nodes as [GraphNode];
  const inputs = [
    conv.source,
    rewriter.addTensor(`${node.inputs[1]}/merged`, { type: 'float32', dims: [outputs, depth, ...large.kernel], data }),
    rewriter.addTensor(`${node.inputs[1]}/bias`, { type: 'float32', dims: [outputs], data: bias }),
  ];
  const { kernel, strides, dilations, pads } = large;
  const merged = nodeOf({ ...sum, name: node.name }, 'conv', inputs, {
    group,
    kernel_shape: kernel,
    strides,
    dilations,
    pads,
  });
  return sum.activation ? { ...merged, activation: sum.activation } : merged;
}

/** @param places For each tap of the branch, its index among the taps of the sum. */
function addKernel(
  data: Float64Array,
  { weight, scale, window }: Branch,
  places: readonly number[],
  depth: number,
): void {
  const small = sizeOf(window.kernel);
  const taps = data.length / (weight ? weight.data.length / small : (scale?.length as number) * depth);
  const add = (row: number, tap: number, value: number): void => {
    const at = row * taps + (places[tap] as number);
    data[at] = (data[at] as number) + value;
  };
  if (weight) {
    const numbers = numbersOf(weight);
    let next = 0;
    for (let row = 0; next < numbers.length; row++) {
      for (let tap = 0; tap < small; tap++) add(row, tap, numbers[next++] as number);
    }
    return;
  }
  scale?.forEach((value, c) => {
    for (let tap = 0; tap < small; tap++) add(c * depth + (c % depth), tap, value);
  });
}

function placesOf(large: Window, small: Window, offset: readonly number[]): number[] {
  return Array.from({ length: sizeOf(small.kernel) }, (_, tap) => {
    const index = small.kernel.map((size, axis) => Math.floor(tap / sizeOf(small.kernel.slice(axis + 1))) % size);
    return large.kernel.reduce((at, size, axis) => at * size + (offset[axis] as number) + (index[axis] as number), 0);
  });
}

/** Offset of the smaller window in the larger one, in taps; nothing if it does not fit. */
function offsetIn(large: Window, small: Window): number[] | undefined {
  const offset = large.kernel.map((size, axis) => {
    const dilation = large.dilations[axis] as number;
    const taps = ((large.pads[axis] as number) - (small.pads[axis] as number)) / dilation;
    const length = small.kernel[axis] as number;
    const isSame = large.strides[axis] === small.strides[axis] && (length === 1 || dilation === small.dilations[axis]);
    return isSame && Number.isInteger(taps) && taps >= 0 && taps + length <= size ? taps : undefined;
  });
  return offset.every((taps) => taps !== undefined) ? offset : undefined;
}

function oneTap(dims: readonly number[]): Window {
  const ones = dims.slice(2).map(() => 1);
  return { kernel: ones, strides: ones, dilations: ones, pads: [...ones, ...ones].map(() => 0) };
}
