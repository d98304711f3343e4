import { describeList } from '../../errors';
import { attribute, type OpNode, optionalAttribute, unfit, unsupported } from './op';

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

/** A window that slides over the spatial axes; the lists are complete. */
export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
}

/** Largest padding, and largest distance between two taps, in pixels. */
const maxReach = 2 ** 16;

/** Reads the attributes; computes automatic padding for the input's dims. */
export function windowOf(node: WindowNode, dims: readonly number[], kernelOf?: readonly number[]): Window {
  const rank = dims.length - 2;
  const { auto_pad: auto, kernel_shape: kernelShape = kernelOf } = node.attributes;
  if (rank < 1) throw unfit(node, 'an input of 3 dims or more', describeList(dims));
  if (!kernelShape) throw unfit(node, 'the attribute kernel_shape', 'none');
  const list = (name: 'strides' | 'dilations', low: number): readonly number[] =>
    checked(node, name, node.attributes[name] ?? Array(rank).fill(1), rank, low);
  const kernel = checked(node, 'kernel_shape', kernelShape, rank, 1);
  if (kernelOf && !kernel.every((size, i) => size === kernelOf[i])) {
    throw unfit(node, `kernel_shape ${describeList(kernelOf)}, as the weights have`, describeList(kernel));
  }
  const [strides, dilations] = [list('strides', 1), list('dilations', 1)];
  const window = { kernel, strides, dilations };
  if (auto === 'NOTSET') {
    return { ...window, pads: checked(node, 'pads', node.attributes.pads ?? Array(2 * rank).fill(0), 2 * rank, 0) };
  }
  if (auto === 'VALID') return { ...window, pads: Array(2 * rank).fill(0) };
  if (auto !== 'SAME_UPPER' && auto !== 'SAME_LOWER') {
    throw unfit(node, 'auto_pad NOTSET, VALID, SAME_UPPER or SAME_LOWER', auto);
  }
  const totals = kernel.map((size, i) => {
    const [stride, length] = [strides[i] as number, dims[i + 2] as number];
    const reach = (size - 1) * (dilations[i] as number) + 1;
    return Math.max(0, (Math.ceil(length / stride) - 1) * stride + reach - length);
  });
  return { ...window, pads: splitPads(totals, auto) };
}

/** Splits padding in halves. If it is odd, the end gets one pixel more (SAME_UPPER), or the beginning. */
export function splitPads(totals: readonly number[], auto: string): number[] {
  const smaller = totals.map((total) => Math.floor(total / 2));
  const larger = totals.map((total, i) => total - (smaller[i] as number));
  return auto === 'SAME_UPPER' ? [...smaller, ...larger] : [...larger, ...smaller];
}

function checked(node: OpNode, name: string, list: readonly number[], length: number, low: number): readonly number[] {
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
  if (kernel.length === 2) return { kernel, strides, dilations, pads };
  throw unsupported(node, 'one or two spatial axes', String(kernel.length));
}
