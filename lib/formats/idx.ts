import { createGunzip } from 'node:zlib';
import { describeList, mismatch, QARepVGGError, quote } from '../errors';
import { Dataset } from './dataset';
import { withFile } from './files';

/** Unsigned bytes in row-major order. */
export interface IdxArray {
  readonly data: Uint8Array;
  readonly dims: number[];
}

/** Most bytes of data, so that a few hundred kilobytes of gzip cannot fill the memory. */
const maxBytes = 2 ** 31 - 1;

const maxDims = 4;

/**
 * Reads an IDX file of unsigned bytes, plain or compressed by gzip: two zero bytes, the type 8, the number of dims; the
 * dims as big-endian u32; the data (the format of MNIST, http://yann.lecun.com/exdb/mnist/).
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG for anything else: another type, too few or too many bytes, damaged gzip;
 * ERR_LIMIT above 2 GiB; as {@link withFile} for the path.
 */
export function readIdx(path: string, where = 'readIdx'): Promise<IdxArray> {
  return withFile(path, where, async (file) => {
    const bytes = await file.read(file.size);
    const compressed = bytes[0] === 0x1f && bytes[1] === 0x8b;
    return parseIdx(compressed ? await inflate(bytes, file.where) : bytes, file.where);
  });
}

/**
 * Reads a data set from two IDX files: images of dims [count, height, width] or [count, height, width, channels], and
 * as many labels.
 *
 * @throws {QARepVGGError} (rejects) ERR_INVALID_ARG for a file that is none, or damaged; ERR_LIMIT above 2 GiB; as {@link Dataset}
 */
export async function loadIdx(
  imagesPath: string,
  labelsPath: string,
  classes: readonly string[],
  where = 'loadIdx',
): Promise<Dataset> {
  const [images, labels] = await Promise.all([readIdx(imagesPath, where), readIdx(labelsPath, where)]);
  const [count, height, width, channels = 1] = images.dims;
  if (count === undefined || height === undefined || width === undefined) {
    const expected = 'dims [count, height, width] or [count, height, width, channels]';
    throw mismatch('ERR_INVALID_ARG', `${where}, ${quote(imagesPath)}`, expected, describeList(images.dims));
  }
  if (labels.dims.length !== 1 || labels.dims[0] !== count) {
    const expected = `dims [${count}], a label for each image`;
    throw mismatch('ERR_INVALID_ARG', `${where}, ${quote(labelsPath)}`, expected, describeList(labels.dims));
  }
  return new Dataset({
    images: images.data,
    dims: [height, width, channels],
    labels: Int32Array.from(labels.data),
    classes,
  });
}

function parseIdx(bytes: Uint8Array, where: string): IdxArray {
  const header = readHeader(bytes, where);
  if (header === undefined || header.fileBytes !== bytes.length) {
    const expected = header
      ? `${header.fileBytes} bytes for dims ${describeList(header.dims)}`
      : 'the header of an IDX file';
    throw mismatch('ERR_INVALID_ARG', where, expected, `${bytes.length} bytes`);
  }
  return { data: bytes.subarray(4 + 4 * header.dims.length), dims: header.dims };
}

/** Undefined while `bytes`, the beginning of a file, are too few to tell. */
function readHeader(bytes: Uint8Array, where: string): { dims: number[]; fileBytes: number } | undefined {
  const [zero, zeroToo, type, rank] = bytes;
  if (rank === undefined) return undefined;
  if (zero !== 0 || zeroToo !== 0 || type !== 8 || rank < 1 || rank > maxDims) {
    const expected = `an IDX file of unsigned bytes in 1 to ${maxDims} dims, which starts with 0 0 8`;
    throw mismatch('ERR_INVALID_ARG', where, expected, [...bytes.subarray(0, 4)].join(' '));
  }
  const headerBytes = 4 + 4 * rank;
  if (bytes.length < headerBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const dims = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const size = dims.reduce((product, dim) => product * dim, 1);
  if (size > maxBytes) throw mismatch('ERR_LIMIT', where, `at most ${maxBytes} bytes of data`, describeList(dims));
  return { dims, fileBytes: headerBytes + size };
}

/** Decompresses piece by piece, and stops as soon as there is more than the header announces. */
async function inflate(compressed: Uint8Array, where: string): Promise<Uint8Array> {
  const pieces: Buffer[] = [];
  let length = 0;
  let expected: number | undefined;
  const gunzip = createGunzip({ chunkSize: 2 ** 18 });
  gunzip.end(compressed);
  try {
    for await (const piece of gunzip as AsyncIterable<Buffer>) {
      pieces.push(piece);
      length += piece.length;
      expected ??= readHeader(Buffer.concat(pieces), where)?.fileBytes;
      if (expected !== undefined && length > expected) {
        throw mismatch('ERR_INVALID_ARG', where, `${expected} bytes after decompression`, 'more');
      }
    }
  } catch (error) {
    if (error instanceof QARepVGGError) throw error;
    throw new QARepVGGError('ERR_INVALID_ARG', `${where}: expected gzip data, received damaged ones (${error})`, {
      cause: error,
    });
  }
  return Buffer.concat(pieces, length);
}
