import { describe, describeList, mismatch } from '../../errors';
import { maxRank } from '../../limits';
import { type Steps, stepSize } from '../../slices';
import { arrayOf, bytesPerElement, type RawTensor, rawTensor } from '../dtypes';
import { allocateBytes } from '../files';
import type { Storage } from './storages';
import { OpaqueTensor } from './values';

/** Where the elements of a tensor are in its storage. */
interface Layout {
  readonly offset: number;
  readonly dims: number[];
  readonly strides: number[];
}

/** A tensor whose storage has not been read yet. */
export interface PendingTensor {
  /** Empty until {@link fillTensor}. */
  readonly tensor: RawTensor;
  readonly storage: Storage;
  readonly layout: Layout;
}

/**
 * Makes a tensor over a storage, like `torch._utils._rebuild_tensor_v2`.
 *
 * @param args (storage, offset, dims, strides, requires_grad, hooks, ...)
 * @throws {QARepVGGError} ERR_MODEL_FORMAT when it exceeds its storage.
 */
export function rebuildTensor(args: readonly unknown[]): PendingTensor | OpaqueTensor {
  const [storage, offset, dims, strides] = args;
  if (
    !isStorage(storage) ||
    !isSizes([offset]) ||
    !isSizes(dims) ||
    !isSizes(strides) ||
    dims.length !== strides.length
  ) {
    throw mismatch('ERR_MODEL_FORMAT', 'a tensor (storage, offset, dims, strides)', describeList(args));
  }
  const { dtype, type, count: length } = storage;
  if (dtype === undefined || dims.length > maxRank) return new OpaqueTensor(type);
  const layout = { offset: offset as number, dims: [...dims], strides: [...strides] };
  // Both products are exact, or beyond the length of any storage.
  const count = countOf(layout);
  const last = layout.dims.reduce((index, dim, i) => index + (dim - 1) * (layout.strides[i] as number), layout.offset);
  if (count > 0 ? last >= length : layout.offset > length) {
    throw mismatch(
      'ERR_MODEL_FORMAT',
      `a tensor of dims ${describeList(dims)} inside its storage of ${length} elements`,
      `one with strides ${describeList(strides)} and offset ${describe(offset)}`,
    );
  }
  return { tensor: rawTensor(dtype, arrayOf(dtype, new Uint8Array(0)), layout.dims), storage, layout };
}

/** Memory for the copy that {@link fillTensor} makes, and for the same in float32; 0 for a contiguous tensor. */
export function bytesOfCopy({ tensor, layout }: PendingTensor): number {
  return isView(layout) ? 0 : countOf(layout) * (bytesPerElement(tensor.dtype) + Float32Array.BYTES_PER_ELEMENT);
}

/**
 * Fills a tensor with its elements. A tensor that is contiguous in its storage becomes a view; others (transposed, sliced,
 * expanded) are copied into row-major order.
 *
 * @param elements The elements of the storage.
 */
export function* fillTensor({ tensor, layout }: PendingTensor, elements: NodeJS.TypedArray): Steps<void> {
  const count = countOf(layout);
  if (isView(layout)) {
    tensor.data = elements.subarray(layout.offset, layout.offset + count) as typeof tensor.data;
    return;
  }
  const target = arrayOf(tensor.dtype, allocateBytes(count * bytesPerElement(tensor.dtype)));
  tensor.data = target as typeof tensor.data;
  yield* gather(elements, layout, target);
}

function countOf({ dims }: Layout): number {
  return dims.reduce((product, dim) => product * dim, 1);
}

function isStorage(value: unknown): value is Storage {
  return typeof value === 'object' && value !== null && 'count' in value && 'key' in value;
}

/** More dims than {@link maxRank} are valid here. */
function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.length <= 64 && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** Whether the tensor is contiguous in its storage. */
function isView({ dims, strides }: Layout): boolean {
  if (dims.includes(0)) return true;
  let expected = 1;
  for (let i = dims.length - 1; i >= 0; i--) {
    if (dims[i] === 1) continue;
    if (strides[i] !== expected) return false;
    expected *= dims[i] as number;
  }
  return true;
}

/** Copies element by element, the last dim fastest. */
function* gather(source: NodeJS.TypedArray, layout: Layout, target: NodeJS.TypedArray): Steps<void> {
  const state = { ...layout, index: layout.dims.map(() => 0) };
  for (let begin = 0; begin < target.length; begin += stepSize / 4) {
    gatherPart(source, state, target, begin, Math.min(begin + stepSize / 4, target.length));
    yield;
  }
}

/** @param state Where to continue; updated. */
function gatherPart(
  source: NodeJS.TypedArray,
  state: { offset: number; readonly index: number[] } & Omit<Layout, 'offset'>,
  target: NodeJS.TypedArray,
  begin: number,
  end: number,
): void {
  const { dims, strides, index } = state;
  let from = state.offset;
  for (let to = begin; to < end; to++) {
    target[to] = source[from] as number;
    for (let i = dims.length - 1; i >= 0; i--) {
      const [dim, stride] = [dims[i] as number, strides[i] as number];
      from += stride;
      index[i] = (index[i] as number) + 1;
      if ((index[i] as number) < dim) break;
      from -= stride * dim;
      index[i] = 0;
    }
  }
  state.offset = from;
}
