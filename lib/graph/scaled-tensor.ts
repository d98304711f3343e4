import { types } from 'node:util';
import type { GraphTensor, TensorData } from './graph';
import { numbersOf } from './tensors';

/** Numbers, each to be multiplied by that of its row. */
export interface Scaling {
  readonly source: Float32Array;
  /** Of each row; rows are of equal length. */
  readonly factors: Float64Array;
}

const scalings = new WeakMap<GraphTensor, Scaling>();

/**
 * Products of a tensor of floats, in double. Those of a file's numbers are computed when something reads them. Mostly nothing does:
 * the engine multiplies the weights that it was given, which saves two copies of them.
 */
export function scaledTensor(tensor: GraphTensor, factors: Float64Array): GraphTensor {
  const source = numbersOf(tensor);
  if (types.isFloat32Array(source))
    return lazyTensor(tensor, { source, factors }, (length) => new Float64Array(length));
  return { ...tensor, data: products(source, factors, new Float64Array(source.length)) };
}

/** The numbers that a tensor of {@link scaledTensor} is made of; nothing for others. */
export function scalingOf(tensor: GraphTensor): Scaling | undefined {
  return scalings.get(tensor);
}

/** The same tensor, rounded once. */
export function roundedTensor(tensor: GraphTensor): GraphTensor {
  const scaling = scalingOf(tensor);
  if (scaling) return lazyTensor(tensor, scaling, (length) => new Float32Array(length));
  return types.isFloat64Array(tensor.data) ? { ...tensor, data: new Float32Array(tensor.data) } : tensor;
}

type Products = Float32Array | Float64Array;

function lazyTensor(
  { type, dims }: GraphTensor,
  scaling: Scaling,
  allocate: (length: number) => Products,
): GraphTensor {
  let computed: TensorData | undefined;
  const tensor: GraphTensor = {
    type,
    dims,
    // A property of its own: a copy with other dims has the numbers, and is a tensor like others.
    get data() {
      computed ??= products(scaling.source, scaling.factors, allocate(scaling.source.length));
      return computed;
    },
  };
  scalings.set(tensor, scaling);
  return tensor;
}

function products(source: ArrayLike<number>, factors: Float64Array, data: Products): Products {
  const length = source.length / factors.length;
  factors.forEach((factor, row) => {
    multiply(source, row * length, (row + 1) * length, factor, data);
  });
  return data;
}

/** Called for each row, it is compiled after a few of them; a loop within the loop over rows would be interpreted for long. */
function multiply(source: ArrayLike<number>, start: number, end: number, factor: number, data: Products): void {
  for (let i = start; i < end; i++) data[i] = (source[i] as number) * factor;
}
