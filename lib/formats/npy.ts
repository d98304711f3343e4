import { describeList, mismatch, quote } from '../errors';
import type { GraphTensor } from '../graph/graph';
import { sizeOf } from '../graph/graph';
import { maxRank } from '../limits';
import { atOnce } from '../slices';
import { arrayOf, bytesPerElement, type Dtype } from './dtypes';
import { inGraphType } from './graph-types';

/**
 * The format of NumPy's arrays (numpy.lib.format): "\x93NUMPY", a version, the length of the header, the header as a Python
 * dictionary, then the elements, which must be little-endian.
 */
const magic = '\x93NUMPY';

/** Element types by NumPy's names. */
const dtypes: Readonly<Record<string, Dtype>> = {
  '|b1': 'BOOL',
  '|u1': 'U8',
  '|i1': 'I8',
  '<u2': 'U16',
  '<i2': 'I16',
  '<i4': 'I32',
  '<u4': 'U32',
  '<i8': 'I64',
  '<u8': 'U64',
  '<f2': 'F16',
  '<f4': 'F32',
  '<f8': 'F64',
};

/** The names of the types that graphs have. */
const names: Readonly<Record<GraphTensor['type'], string>> = {
  float32: '<f4',
  uint8: '|u1',
  int8: '|i1',
  int32: '<i4',
  int64: '<i8',
  bool: '|b1',
};

/** Whether the bytes are those of an array. */
export function isNpy(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(0, magic.length)).toString('latin1') === magic;
}

/**
 * Reads an array of numbers in row-major order. Types that graphs do not have become wider ones, and floats become float32.
 *
 * @throws {QARepVGGError} ERR_MODEL_FORMAT for another file, or a damaged one; ERR_NON_FINITE for numbers too large for float32.
 */
export function parseNpy(bytes: Uint8Array): GraphTensor {
  const odd = (received: string) => mismatch('ERR_MODEL_FORMAT', 'a NumPy array of numbers', received);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!isNpy(bytes) || bytes.length < 12) throw odd('another file');
  const version = bytes[6] as number;
  if (version < 1 || version > 3) throw odd(`version ${version} of the format`);
  const [start, length] = version === 1 ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)];
  if (start + length > bytes.length) throw odd('a header that is cut off');
  const header = Buffer.from(bytes.subarray(start, start + length)).toString('latin1');
  const field = (pattern: RegExp): string | undefined => pattern.exec(header)?.[1];
  const descr = field(/'descr'\s*:\s*'([^']{2,4})'/) ?? '';
  const dtype = Object.hasOwn(dtypes, descr) ? dtypes[descr] : undefined;
  if (!dtype) throw odd(`elements of type ${quote(descr)}`);
  if (field(/'fortran_order'\s*:\s*(True|False)/) !== 'False') throw odd('one in column-major order');
  const shape = field(/'shape'\s*:\s*\(([\d,\s]*)\)/);
  if (shape === undefined) throw odd('no shape');
  const dims = shape.split(',').flatMap((text) => (text.trim() === '' ? [] : [Number(text)]));
  const data = bytes.subarray(start + length);
  if (dims.length > maxRank || data.length !== sizeOf(dims) * bytesPerElement(dtype)) {
    throw odd(`${data.length} bytes for dims ${describeList(dims)}`);
  }
  return { ...atOnce(inGraphType(dtype, arrayOf(dtype, data))), dims };
}

/** The bytes of a file. */
export function serializeNpy({ type, dims, data }: GraphTensor): Uint8Array {
  const shape = dims.length === 1 ? `${dims[0]},` : dims.join(', ');
  const text = `{'descr': '${names[type]}', 'fortran_order': False, 'shape': (${shape}), }`;
  // Elements begin at a multiple of 64, after a line feed.
  const length = Math.ceil((text.length + 11) / 64) * 64 - 10;
  const head = Buffer.alloc(10 + length, ' ');
  head.write(`${magic}\x01\x00`, 'latin1');
  head.writeUInt16LE(length, 8);
  head.write(text, 10, 'latin1');
  head.write('\n', 9 + length);
  return Buffer.concat([head, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)]);
}
