import { describeList } from '../../errors';
import { attribute, type OpNode, optionalAttribute, type SketchNode, unfit, unsupported } from './op';

/** Attributes of convolutions and pooling. Lists have an entry for each spatial axis. */
export const windowAttributes = {
  auto_pad: attribute('text', 'NOTSET'),
  dilations: optionalAttribute('ints'),
  kernel_shape: optionalAttribute('ints'),
  /** All beginnings, then all ends. */
  pads: optionalAttribute('ints'),
  strides: optionalAttribute('ints'),
};

type WindowNode = OpNode<typeof windowAttributes>;
type WindowSketch = SketchNode<typeof windowAttributes>;

/** A window that slides over the spatial axes; the lists are complete. */
export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
}

/** Largest padding, and largest distance between two taps, in pixels. */
const maxReach = 2 ** 16;

/** The part of {@link windowOf} that needs no dims of the input. @param kernelOf Dims of a kernel in the weights, where they are known */
export function checkWindow(node: WindowSketch, kernelOf?: readonly number[]): void {
  const { kernel_shape: kernelShape = kernelOf } = node.attributes;
  if (kernelShape) checkAxes(node, listsOf(node, kernelShape.length, kernelShape, kernelOf).kernel);
}

/** Reads the attributes; computes automatic padding for the input's dims. */
export function windowOf(node: WindowNode, dims: readonly number[], kernelOf?: readonly number[]): Window {
  const rank = dims.length - 2;
  const { auto_pad: auto, kernel_shape: kernelShape = kernelOf } = node.attributes;
  if (rank < 1) throw unfit(node, 'an input of 3 dims or more', describeList(dims));
  if (!kernelShape) throw unfit(node, 'the attribute kernel_shape', 'none');
  const lists = listsOf(node, rank, kernelShape, kernelOf);
  const { kernel, strides, dilations, pads } = lists;
  if (pads) return lists as Window;
  const totals = kernel.map((size, i) => {
    const [stride, length] = [strides[i] as number, dims[i + 2] as number];
    const reach = (size - 1) * (dilations[i] as number) + 1;
    return Math.max(0, (Math.ceil(length / stride) - 1) * stride + reach - length);
  });
  return { kernel, strides, dilations, pads: splitPads(totals, auto) };
}

/** The lists of the attributes; no padding where it follows from the dims of the input. */
function listsOf(
  node: WindowSketch,
  rank: number,
  kernelShape: readonly number[],
  kernelOf?: readonly number[],
): Omit<Window, 'pads'> & { readonly pads: readonly number[] | undefined } {
  const { strides = Array(rank).fill(1), dilations = Array(rank).fill(1) } = node.attributes;
  const kernel = checked(node, 'kernel_shape', kernelShape, rank, 1);
  if (kernelOf && !(kernel.length === kernelOf.length && kernel.every((size, i) => size === kernelOf[i]))) {
    throw unfit(node, `kernel_shape ${describeList(kernelOf)}, as the weights have`, describeList(kernel));
  }
  return {
    kernel,
    strides: checked(node, 'strides', strides, rank, 1),
    dilations: checked(node, 'dilations', dilations, rank, 1),
    pads: givenPads(node, rank),
  };
}

function givenPads(node: WindowSketch, rank: number): readonly number[] | undefined {
  const { auto_pad: auto, pads = Array(2 * rank).fill(0) } = node.attributes;
  if (auto === 'NOTSET') return checked(node, 'pads', pads, 2 * rank, 0);
  if (auto === 'VALID') return Array(2 * rank).fill(0);
  if (auto === 'SAME_UPPER' || auto === 'SAME_LOWER') return undefined;
  throw unfit(node, 'auto_pad NOTSET, VALID, SAME_UPPER or SAME_LOWER', auto);
}

/** Splits padding in halves. If it is odd, the end gets one pixel more (SAME_UPPER), or the beginning. */
export function splitPads(totals: readonly number[], auto: string): number[] {
  const smaller = totals.map((total) => Math.floor(total / 2));
  const larger = totals.map((total, i) => total - (smaller[i] as number));
  return auto === 'SAME_UPPER' ? [...smaller, ...larger] : [...larger, ...smaller];
}

function checked(
  node: WindowSketch,
  name: string,
  list: readonly number[],
  length: number,
  low: number,
): readonly number[] {
  const fits = list.length === length && list.every((entry) => entry >= low && entry <= maxReach);
  if (fits) return list;
  throw unfit(node, `${length} integers from ${low} to ${maxReach} as ${name}`, describeList(list));
}

/** Lengths of the output's spatial axes. */
export function slide(node: OpNode, dims: readonly number[], window: Window, ceil = false): number[] {
  const { kernel, strides, dilations, pads } = window;
  return kernel.map((size, i) => {
    const [length, begin, end] = [dims[i + 2] as number, pads[i] as number, pads[i + kernel.length] as number];
    const stride = strides[i] as number;
    const reach = (size - 1) * (dilations[i] as number) + 1;
    const steps = (length + begin + end - reach) / stride;
    if (steps < 0) {
      const received = `${dims.slice(2).join(' x ')} and ${begin + end} of padding`;
      throw unfit(node, `at least ${reach} pixels under the kernel`, received);
    }
    // A window that would start in the padding after the image is dropped.
    const count = ceil ? Math.ceil(steps) + 1 : Math.floor(steps) + 1;
    return ceil && (count - 1) * stride >= length + begin ? count - 1 : count;
  });
}

/** Attributes of a window on images, as the engine takes them. */
export function planeWindow(node: OpNode, { kernel, strides, dilations, pads }: Window) {
  checkAxes(node, kernel);
  return { kernel, strides, dilations, pads };
}

/** Passes turn one spatial axis into two. */
function checkAxes(node: Pick<OpNode, 'place'>, kernel: readonly number[]): void {
  if (kernel.length > 2) throw unsupported(node, 'one or two spatial axes', String(kernel.length));
}
