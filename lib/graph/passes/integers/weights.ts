import { isNormal, minNormal } from '../../data-types';
import { type GraphNode, type GraphTensor, sizeOf } from '../../graph';
import { excessiveSum, maxSum } from '../../integer-sums';
import type { Rewriter } from '../../rewriter';
import { numbersOf } from '../../tensors';
import type { Scale } from './parameters';

/** How the weights of an operator are numbered. */
export interface WeightLayout {
  /** Dims of the weights in the engine. */
  readonly dims: readonly number[];
  readonly outputs: number;
  /** The axis of the file's tensor that may have one scale per position. `outputOf` maps a weight to its output channel. */
  readonly axis: number;
  outputOf(index: number): number;
  /** Maps the place of a weight in the file to its place in the engine. Default: the same place. */
  place?(index: number): number;
}

/** Weights in integers with zero point 0, and a bias in units of the input's scale times the weight's. */
export interface IntegerWeights {
  readonly weight: GraphTensor;
  readonly bias: GraphTensor;
  readonly scale: GraphTensor;
}

/**
 * The weights of a node, if the file has them in integers that fit into 8 bits after subtracting the zero point, with one scale
 * or one for each output. The bias may be floats or integers of 32 bits. Nothing if sums could exceed 32 bits, or scales
 * float32.
 */
export function integerWeights(
  { inputs: [, weightName, biasName] }: GraphNode,
  layout: WeightLayout,
  input: Scale,
  rewriter: Rewriter,
): IntegerWeights | undefined {
  const centred = centredWeights(weightName, layout, rewriter);
  if (!centred) return undefined;
  const { weight, scale } = centred;
  const { outputs, dims, place, outputOf } = layout;
  const steps = scale.map((one) => input.scale * one);
  const bias = isEach(steps, isNormal) ? biasOf(biasName, steps, rewriter) : undefined;
  if (!bias || excessiveSum(weight, bias, outputOf)) return undefined;
  const placed = place ? new Int8Array(weight.length) : weight;
  if (place) for (let i = 0; i < weight.length; i++) placed[place(i)] = weight[i] as number;
  return {
    weight: { type: 'int8', dims, data: placed },
    bias: { type: 'int32', dims: [outputs], data: bias },
    scale: { type: 'float32', dims: [outputs], data: scale },
  };
}

/** Whether a node's weights are integers, so that it may compute in integers. */
export function hasIntegerWeights({ inputs }: GraphNode, rewriter: Rewriter): boolean {
  return rewriter.maker(inputs[1])?.op === 'dequantizeLinear';
}

interface CentredWeights {
  readonly weight: Int8Array;
  readonly scale: Float32Array;
}

function centredWeights(
  name: string | undefined,
  layout: WeightLayout,
  rewriter: Rewriter,
): CentredWeights | undefined {
  const node = rewriter.maker(name);
  if (node?.op !== 'dequantizeLinear') return undefined;
  const [integers, scales, zeros] = node.inputs.map((input) => rewriter.tensor(input));
  const isByte = integers?.type === 'int8' || integers?.type === 'uint8';
  if (!isByte || !scales || (node.inputs[2] && !zeros)) return undefined;
  const isSingle = scales.data.length === 1;
  const axis = node.attributes.axis as number;
  if (!isSingle && (axis < 0 ? axis + integers.dims.length : axis) !== layout.axis) return undefined;
  const [scaleList, zeroList] = [numbersOf(scales), zeros ? numbersOf(zeros) : [0]];
  const scale = new Float32Array(layout.outputs);
  // A shortcut for the form that quantisers write: there may be millions of weights.
  const isPlain = integers.type === 'int8' && isEach(zeroList, (zero) => zero === 0) && isEach(scaleList, isNormal);
  if (isPlain && integers.dims[layout.axis] === layout.outputs) {
    if (isSingle) scale.fill(scaleList[0] as number);
    else scale.set(scaleList);
    return { weight: integers.data as Int8Array, scale };
  }
  const weight = new Int8Array(integers.data.length);
  const alongAxis = positionsAlong(integers.dims, layout.axis);
  const numbers = numbersOf(integers);
  for (let i = 0; i < weight.length; i++) {
    const at = alongAxis(i);
    const value = (numbers[i] as number) - (zeroList[zeroList.length === 1 ? 0 : at] as number);
    if (value < -128 || value > 127) return undefined;
    const own = scaleList[isSingle ? 0 : at] as number;
    // A denormal scale counts as zero, and so do its weights.
    weight[i] = own < minNormal ? 0 : value;
    scale[layout.outputOf(i)] = own < minNormal ? 1 : own;
  }
  return { weight, scale };
}

function positionsAlong(dims: readonly number[], axis: number): (i: number) => number {
  const inner = sizeOf(dims.slice(axis + 1));
  const length = dims[axis] as number;
  return (i) => Math.floor(i / inner) % length;
}

/** @param steps The unit of each sum: the scale of the input times that of the weights. */
function biasOf(name: string | undefined, steps: Float32Array, rewriter: Rewriter): Int32Array | undefined {
  const bias = new Int32Array(steps.length);
  if (!name) return bias;
  const node = rewriter.maker(name);
  const isInteger = node?.op === 'dequantizeLinear';
  const tensor = rewriter.tensor(isInteger ? node.inputs[0] : name);
  const scales = isInteger ? rewriter.tensor(node.inputs[1]) : undefined;
  const zero = isInteger && node.inputs[2] ? rewriter.tensor(node.inputs[2]) : undefined;
  if (!tensor || tensor.data.length !== steps.length || (isInteger && (!scales || tensor.type === 'int64')))
    return undefined;
  if (isInteger && node.inputs[2] && !(zero && isEach(numbersOf(zero), (value) => value === 0))) return undefined;
  const numbers = numbersOf(tensor);
  const units = scales ? numbersOf(scales) : [1];
  for (let i = 0; i < bias.length; i++) {
    const step = steps[i] as number;
    const unit = units[units.length === 1 ? 0 : i] as number;
    const value = numbers[i] as number;
    // The bias of a file has its own scale: the product of the others, rounded differently, or 0 for a dead channel.
    const start = isInteger && Math.abs(unit - step) <= 1e-4 * step ? value : Math.round((value * unit) / step);
    if (!(Math.abs(start) <= maxSum)) return undefined;
    bias[i] = start;
  }
  return bias;
}

function isEach(list: ArrayLike<number>, test: (value: number) => boolean): boolean {
  for (let i = 0; i < list.length; i++) if (!test(list[i] as number)) return false;
  return true;
}
