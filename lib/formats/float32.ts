import { mismatch, quote, stepsWithin } from '../errors';
import { allFinite } from '../finite';
import { allocateFloats } from '../limits';
import { type Steps, stepSize } from '../slices';
import type { Tensor } from '../tensor';
import type { RawTensor } from './dtypes';

/** Float32 takes at most four bytes for one byte of the file. */
const growth = 4;

/** Allowance for tensors that overlap only in part. */
const baseBytes = 2 ** 23;

/**
 * Converts tensors to float32 like PyTorch's `.float()`: F32 is kept, not copied; F16 and BF16 are exact; other types are rounded
 * to nearest. Tensors that share memory are converted once.
 *
 * @returns An object without a prototype: any name is safe as a key.
 * @throws {QARepVGGError} ERR_NON_FINITE for a finite number of F64 that would become infinite; ERR_LIMIT when tensors overlap
 * so much that copies of them would take many times their memory.
 */
export function* tensorsToFloat32(tensors: readonly (readonly [string, RawTensor])[]): Steps<Record<string, Tensor>> {
  const result = Object.create(null) as Record<string, Tensor>;
  const converted = new Map<string, Float32Array>();
  const buffers = new Map<ArrayBufferLike, number>();
  for (const [, { data }] of tensors) buffers.set(data.buffer, buffers.size);
  let left = [...buffers.keys()].reduce((sum, { byteLength }) => sum + growth * byteLength, baseBytes);
  for (const [name, tensor] of tensors) {
    const { dtype, data, dims } = tensor;
    const key = `${dtype} ${buffers.get(data.buffer)} ${data.byteOffset} ${data.length}`;
    let floats = dtype === 'F32' ? data : converted.get(key);
    if (floats === undefined) {
      left -= data.length * Float32Array.BYTES_PER_ELEMENT;
      if (left < 0) throw mismatch('ERR_LIMIT', 'tensors that rarely overlap', 'many that share memory');
      floats = yield* stepsWithin(quote(name), toFloats(tensor));
      converted.set(key, floats);
    }
    result[name] = { data: floats, dims };
    yield;
  }
  return result;
}

/** Converts one tensor into new memory. */
export function* toFloats(tensor: RawTensor): Steps<Float32Array> {
  const result = allocateFloats(tensor.data.length);
  for (let begin = 0; begin < result.length; begin += stepSize) {
    const end = Math.min(begin + stepSize, result.length);
    convert(tensor, result, begin, end);
    yield;
  }
  return result;
}

function convert(tensor: RawTensor, result: Float32Array, begin: number, end: number): void {
  const { dtype, data } = tensor;
  if (dtype === 'F16') halvesToFloats(data, result, begin, end);
  else if (dtype === 'BF16') brainsToFloats(data, result, begin, end);
  else if (dtype === 'I64' || dtype === 'U64') longsToFloats(data, dtype === 'I64', result, begin, end);
  else if (dtype === 'F64') narrow(data, result, begin, end);
  else result.set(data.subarray(begin, end), begin);
}

function halvesToFloats(bits: Uint16Array, result: Float32Array, begin: number, end: number): void {
  const values = halves();
  for (let i = begin; i < end; i++) result[i] = values[bits[i] as number] as number;
}

/** A bfloat16 is the upper half of the bits of a float. */
function brainsToFloats(bits: Uint16Array, result: Float32Array, begin: number, end: number): void {
  const target = new Uint32Array(result.buffer, result.byteOffset, result.length);
  for (let i = begin; i < end; i++) target[i] = (bits[i] as number) << 16;
}

/** In two halves, because bigints are slow. The sum is rounded once, as `Number` rounds a bigint. */
function longsToFloats(
  longs: BigInt64Array | BigUint64Array,
  signed: boolean,
  result: Float32Array,
  begin: number,
  end: number,
): void {
  const low = new Uint32Array(longs.buffer, longs.byteOffset, 2 * longs.length);
  const high = signed ? new Int32Array(low.buffer, low.byteOffset, low.length) : low;
  for (let i = begin; i < end; i++) {
    result[i] = (high[2 * i + 1] as number) * 2 ** 32 + (low[2 * i] as number);
  }
}

function narrow(values: Float64Array, result: Float32Array, begin: number, end: number): void {
  const part = values.subarray(begin, end);
  result.set(part, begin);
  const narrowed = result.subarray(begin, end);
  if (allFinite(narrowed)) return;
  const odd = part.find((value, i) => Number.isFinite(value) && !Number.isFinite(narrowed[i]));
  if (odd === undefined) return;
  throw mismatch('ERR_NON_FINITE', 'numbers within float32, up to 3.4e38', `${odd}`);
}

let halfValues: Float32Array | undefined;

/** The value of each of the 65,536 half-precision numbers (IEEE 754 binary16), by its bits. */
function halves(): Float32Array {
  if (halfValues) return halfValues;
  halfValues = new Float32Array(65_536);
  for (let bits = 0; bits < halfValues.length; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 31) halfValues[bits] = fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    else halfValues[bits] = sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
  }
  return halfValues;
}
