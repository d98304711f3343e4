import { describeList, failure, mismatch, QARepVGGError, quote } from '../errors';
import { inSlices, type Steps, stepSize } from '../slices';
import { Dataset, type DatasetSource } from './dataset';
import { allocateBytes, withFile } from './files';
import { zlib } from './zlib';

/** Unsigned bytes in row-major order. */
export interface IdxArray {
  readonly data: Uint8Array;
  readonly dims: number[];
}

/** Largest size of the data in bytes, so that a small gzip file cannot fill the memory. */
const maxBytes = 2 ** 31 - 1;

const maxDims = 4;

/** The highest ratio of deflate: 258 bytes from two bits. */
const maxGzipRatio = 1032;
const minGzipBytes = 2 ** 16;

/**
 * Reads an IDX file of unsigned bytes, plain or compressed by gzip: two zero bytes, the type 8, the number of dims; the
 * dims as big-endian u32; the data (the format of MNIST, http://yann.lecun.com/exdb/mnist/).
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG for anything else: another type, too few or too many bytes, damaged gzip;
 * ERR_LIMIT above 2 GiB; the errors of {@link withFile} for the path.
 */
export function readIdx(path: string): Promise<IdxArray> {
  return withFile(path, async (file) => {
    const bytes = await file.read(file.size);
    const compressed = bytes[0] === 0x1f && bytes[1] === 0x8b;
    return parseIdx(compressed ? await inflate(bytes) : bytes);
  });
}

/**
 * Reads a data set from two IDX files: images of dims [count, height, width] or [count, height, width, channels], and
 * as many labels.
 *
 * @throws {QARepVGGError} (rejects) ERR_INVALID_ARG for a file of another kind or a damaged one; ERR_LIMIT above 2 GiB; as
 * {@link Dataset}
 */
export async function loadIdx(imagesPath: string, labelsPath: string, classes: readonly string[]): Promise<Dataset> {
  return new Dataset({ ...(await readLabelled(imagesPath, labelsPath)), classes });
}

/** Same as {@link loadIdx}, without names for the classes. */
export async function readLabelled(imagesPath: string, labelsPath: string): Promise<Omit<DatasetSource, 'classes'>> {
  const [images, labels] = await Promise.all([readIdx(imagesPath), readIdx(labelsPath)]);
  const [count, height, width, channels = 1] = images.dims;
  if (count === undefined || height === undefined || width === undefined) {
    const expected = 'dims [count, height, width] or [count, height, width, channels]';
    throw mismatch('ERR_INVALID_ARG', quote(imagesPath), expected, describeList(images.dims));
  }
  if (labels.dims.length !== 1 || labels.dims[0] !== count) {
    const expected = `dims [${count}], a label for each image`;
    throw mismatch('ERR_INVALID_ARG', quote(labelsPath), expected, describeList(labels.dims));
  }
  return { images: images.data, dims: [height, width, channels], labels: await inSlices(toIntegers(labels.data)) };
}

function* toIntegers(bytes: Uint8Array): Steps<Int32Array> {
  const result = new Int32Array(bytes.length);
  for (let start = 0; start < bytes.length; start += stepSize) {
    result.set(bytes.subarray(start, start + stepSize), start);
    yield;
  }
  return result;
}

function parseIdx(bytes: Uint8Array): IdxArray {
  const header = readHeader(bytes);
  if (header === undefined || header.fileBytes !== bytes.length) {
    const expected = header
      ? `${header.fileBytes} bytes for dims ${describeList(header.dims)}`
      : 'the header of an IDX file';
    throw mismatch('ERR_INVALID_ARG', expected, `${bytes.length} bytes`);
  }
  return { data: bytes.subarray(4 + 4 * header.dims.length), dims: header.dims };
}

/** Reads the header at the beginning of a file; undefined while `bytes` are too few. */
function readHeader(bytes: Uint8Array): { dims: number[]; fileBytes: number } | undefined {
  const [zero, zeroToo, type, rank] = bytes;
  if (rank === undefined) return undefined;
  if (zero !== 0 || zeroToo !== 0 || type !== 8 || rank < 1 || rank > maxDims) {
    const expected = `an IDX file of unsigned bytes in 1 to ${maxDims} dims, which starts with 0 0 8`;
    throw mismatch('ERR_INVALID_ARG', expected, [...bytes.subarray(0, 4)].join(' '));
  }
  const headerBytes = 4 + 4 * rank;
  if (bytes.length < headerBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const dims = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const size = dims.reduce((product, dim) => product * dim, 1);
  if (size > maxBytes) throw mismatch('ERR_LIMIT', `at most ${maxBytes} bytes of data`, describeList(dims));
  return { dims, fileBytes: headerBytes + size };
}

/** Decompresses piece by piece into memory of the size that the header announces, and stops if there is more. */
async function inflate(compressed: Uint8Array): Promise<Uint8Array> {
  const gunzip = zlib().createGunzip({ chunkSize: 2 ** 18 });
  gunzip.end(compressed);
  let beginning: Uint8Array = new Uint8Array();
  let whole: Uint8Array | undefined;
  let length = 0;
  try {
    for await (const piece of gunzip as AsyncIterable<Buffer>) {
      if (!whole) {
        beginning = Buffer.concat([beginning, piece]);
        const header = readHeader(beginning);
        if (!header) continue;
        whole = allocateInflated(header.fileBytes, compressed.length);
        length = append(whole, beginning, 0);
      } else {
        length = append(whole, piece, length);
      }
    }
  } catch (error) {
    if (error instanceof QARepVGGError) throw error;
    throw failure('ERR_INVALID_ARG', `expected gzip data, received damaged data (${error})`, { cause: error });
  }
  return whole ? whole.subarray(0, length) : beginning;
}

/** @throws {QARepVGGError} ERR_INVALID_ARG, before memory is taken, for a size that the compressed bytes cannot contain. */
function allocateInflated(bytes: number, compressed: number): Uint8Array {
  if (bytes <= maxGzipRatio * compressed + minGzipBytes) return allocateBytes(bytes);
  throw mismatch(
    'ERR_INVALID_ARG',
    `${bytes} bytes after decompression`,
    `${compressed} compressed bytes, too few for them`,
  );
}

function append(whole: Uint8Array, piece: Uint8Array, length: number): number {
  if (length + piece.length > whole.length) {
    throw mismatch('ERR_INVALID_ARG', `${whole.length} bytes after decompression`, 'more');
  }
  whole.set(piece, length);
  return length + piece.length;
}
