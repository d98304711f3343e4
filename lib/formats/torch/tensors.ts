import { describe, describeList, mismatch } from '../../errors';
import { maxRank } from '../../limits';
import { arrayOf, bytesPerElement, type Dtype, type RawTensor, rawTensor } from '../dtypes';
import { allocateBytes } from '../files';

/** Memory that tensors are views of, several of them perhaps. */
export interface Storage {
  readonly dtype: Dtype;
  readonly elements: NodeJS.TypedArray;
}

/** How a tensor lies in its storage, in elements. */
interface Layout {
  readonly offset: number;
  readonly dims: number[];
  readonly strides: number[];
}

/**
 * What `torch._utils._rebuild_tensor_v2` does: a tensor over a storage. One that is contiguous there is a view; others
 * (transposed, sliced, expanded) are copied into row-major order.
 *
 * @param args (storage, offset, dims, strides, requires_grad, hooks, ...)
 * @param maxCopy Most bytes to copy: a stride of 0 makes a large tensor of a few bytes.
 * @throws {QARepVGGError} ERR_MODEL_FORMAT when it reaches out of its storage, ERR_LIMIT beyond `maxCopy`.
 */
export function rebuildTensor(
  args: readonly unknown[],
  maxCopy: number,
  where: string,
): { tensor: RawTensor; copied: number } {
  const [storage, offset, dims, strides] = args;
  if (
    !isStorage(storage) ||
    !isSizes([offset]) ||
    !isSizes(dims) ||
    !isSizes(strides) ||
    dims.length !== strides.length
  ) {
    throw mismatch('ERR_MODEL_FORMAT', where, 'a tensor (storage, offset, dims, strides)', describeList(args));
  }
  const { dtype, elements } = storage;
  const layout = { offset: offset as number, dims: [...dims], strides: [...strides] };
  // Both products are exact, or beyond the length of any storage.
  const count = layout.dims.reduce((product, dim) => product * dim, 1);
  const last = layout.dims.reduce((index, dim, i) => index + (dim - 1) * (layout.strides[i] as number), layout.offset);
  if (count > 0 ? last >= elements.length : layout.offset > elements.length) {
    throw mismatch(
      'ERR_MODEL_FORMAT',
      where,
      `a tensor of dims ${describeList(dims)} inside its storage of ${elements.length} elements`,
      `one with strides ${describeList(strides)} and offset ${describe(offset)}`,
    );
  }
  if (count === 0 || isContiguous(layout)) {
    const view = elements.subarray(layout.offset, layout.offset + count);
    return { tensor: rawTensor(dtype, view, layout.dims), copied: 0 };
  }
  const copied = count * bytesPerElement(dtype);
  if (copied > maxCopy) throw mismatch('ERR_LIMIT', where, `at most ${maxCopy} bytes to copy`, `${copied}`);
  const target = arrayOf(dtype, allocateBytes(copied, where));
  gather(elements, layout, target);
  return { tensor: rawTensor(dtype, target, layout.dims), copied };
}

function isStorage(value: unknown): value is Storage {
  return typeof value === 'object' && value !== null && 'elements' in value;
}

function isSizes(value: unknown): value is number[] {
  return (
    Array.isArray(value) && value.length <= maxRank && value.every((size) => Number.isSafeInteger(size) && size >= 0)
  );
}

function isContiguous({ dims, strides }: Layout): boolean {
  let expected = 1;
  for (let i = dims.length - 1; i >= 0; i--) {
    if (dims[i] === 1) continue;
    if (strides[i] !== expected) return false;
    expected *= dims[i] as number;
  }
  return true;
}

/** Copies element by element, the last dim fastest. */
function gather(source: NodeJS.TypedArray, { offset, dims, strides }: Layout, target: NodeJS.TypedArray): void {
  const index = dims.map(() => 0);
  let from = offset;
  for (let to = 0; to < target.length; to++) {
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
}
