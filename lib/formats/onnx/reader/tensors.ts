import { describeList, mismatch, quote, stepsWithin } from '../../../errors';
import { dataTypeOf } from '../../../graph/data-types';
import { type GraphTensor, sizeOf } from '../../../graph/graph';
import type { Steps } from '../../../slices';
import { arrayOf, bytesPerElement, type Dtype } from '../../dtypes';
import { inGraphType } from '../../graph-types';
import { externalLocation, type TensorFields } from '../schema';
import { WireReader } from '../wire-format';

/** How many bytes are copied in one step. */
const stepBytes = 2 ** 22;

/** Returns the bytes of a tensor that is stored in a file of its own. */
export type ExternalBytes = (tensor: TensorFields) => Uint8Array | undefined;

/** Element types by ONNX's number, and the field that holds the elements if `raw_data` does not. */
const elementTypes: Readonly<Record<number, readonly [Dtype, 'floats' | 'ints' | 'longs' | 'doubles' | 'unsigned']>> = {
  1: ['F32', 'floats'],
  2: ['U8', 'ints'],
  3: ['I8', 'ints'],
  4: ['U16', 'ints'],
  5: ['I16', 'ints'],
  6: ['I32', 'ints'],
  7: ['I64', 'longs'],
  9: ['BOOL', 'ints'],
  10: ['F16', 'ints'],
  11: ['F64', 'doubles'],
  12: ['U32', 'unsigned'],
  13: ['U64', 'unsigned'],
  16: ['BF16', 'ints'],
};

/**
 * Reads a tensor. Its bytes are kept if graphs have their type, else converted.
 *
 * @throws {QARepVGGError} ERR_MODEL_FORMAT for dims that do not fit the bytes; ERR_MODEL_INCOMPATIBLE for strings and the like.
 */
export function* readTensor(fields: TensorFields, external: ExternalBytes): Steps<GraphTensor> {
  const { dims, dataType = 0 } = fields;
  const type = dataTypeOf(dataType);
  const known = elementTypes[dataType];
  if (!type || !known)
    throw mismatch('ERR_MODEL_INCOMPATIBLE', placeOf(fields), 'a tensor of numbers', `type ${dataType}`);
  const [dtype, field] = known;
  const count = sizeOf(dims);
  if (!dims.every((dim) => dim >= 0) || !Number.isSafeInteger(count * 8)) {
    const expected = 'sizes from 0 with a product below 2^50';
    throw mismatch('ERR_MODEL_FORMAT', `${placeOf(fields)}, dims`, expected, describeList(dims));
  }
  const raw = fields.location === externalLocation ? external(fields) : fields.rawData;
  const listed = fields[field];
  // Without steps, as most tensors are.
  if (raw && dtype === 'F32' && raw.length === 4 * count && raw.byteOffset % 4 === 0)
    return { type, data: new Float32Array(raw.buffer, raw.byteOffset, count), dims };
  const place = placeOf(fields);
  const elements =
    raw || !listed
      ? yield* stepsWithin(place, fixed(dtype, raw ?? new Uint8Array(), count))
      : yield* stepsWithin(place, list(dtype, field, listed, count));
  return { ...(yield* stepsWithin(place, inGraphType(dtype, elements))), dims };
}

function placeOf({ name = '' }: TensorFields): string {
  return `tensor ${quote(name)}`;
}

function* fixed(dtype: Dtype, bytes: Uint8Array, count: number): Steps<NodeJS.TypedArray> {
  if (bytes.length !== count * bytesPerElement(dtype)) throw wrongSize(count, dtype, `${bytes.length} bytes`);
  return arrayOf(dtype, yield* aligned(bytes, bytesPerElement(dtype)));
}

/** The bytes themselves if they are aligned to the element's size, otherwise a copy. */
export function* aligned(bytes: Uint8Array, size: number): Steps<Uint8Array> {
  if (bytes.byteOffset % size === 0) return bytes;
  const copy = new Uint8Array(bytes.length);
  for (let start = 0; start < bytes.length; start += stepBytes) {
    if (start > 0) yield;
    copy.set(bytes.subarray(start, start + stepBytes), start);
  }
  return copy;
}

/** Elements in one step. Varints are slow to read. */
const listStep = 2 ** 14;

/** Reads a field that is a list of numbers, in which integers are varints. */
function* list(dtype: Dtype, field: string, bytes: Uint8Array, count: number): Steps<NodeJS.TypedArray> {
  if (field === 'floats' || field === 'doubles') return yield* fixed(dtype, bytes, count);
  // A varint takes at least one byte.
  if (bytes.length < count) throw wrongSize(count, dtype, `${bytes.length} bytes`);
  const result = arrayOf(dtype, new Uint8Array(count * bytesPerElement(dtype)));
  const reader = new WireReader(bytes);
  for (let i = 0; i < count; i++) {
    if (i % listStep === listStep - 1) yield;
    if (reader.isAtEnd) throw wrongSize(count, dtype, String(i));
    result[i] = (dtype === 'I64' || dtype === 'U64' ? reader.bigInteger() : reader.integer()) as never;
  }
  if (!reader.isAtEnd) throw wrongSize(count, dtype, 'more');
  return result;
}

function wrongSize(count: number, dtype: Dtype, received: string) {
  return mismatch('ERR_MODEL_FORMAT', `${count} numbers of type ${dtype}, the product of dims`, received);
}
