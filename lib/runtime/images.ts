import { types } from 'node:util';
import { describeList, mismatch } from '../errors';
import { checkBytes, checkTensor, type TensorLike } from '../tensor';

/** 8-bit images, channels last, as decoders of image files return them. */
export interface ByteImages {
  readonly data: Uint8Array;
  /** [n, h, w, c] */
  readonly dims: readonly number[];
}

/** Images that a session takes: floats [n, c, h, w], or bytes [n, h, w, c]. */
export type Images = TensorLike | ByteImages;

/** Images that have been checked. */
export interface CheckedImages {
  readonly data: Float32Array | Uint8Array;
  readonly count: number;
  readonly height: number;
  readonly width: number;
}

/**
 * Checks what {@link readTensor} has read. Runs none of the caller's code.
 *
 * @throws {QARepVGGError} ERR_SHAPE, ERR_SIZE_OVERFLOW, ERR_DTYPE, ERR_BUFFER_*
 */
export function checkImages(read: { data: unknown; dims: unknown }, channels: number, where: string): CheckedImages {
  const areBytes = types.isUint8Array(read.data);
  const { data, dims } = (areBytes ? checkBytes : checkTensor)(read.data, read.dims, where);
  const layout = areBytes ? '[n, h, w, c], as the data are bytes' : '[n, c, h, w]';
  if (dims.length !== 4) throw mismatch('ERR_SHAPE', `${where} dims`, `4 dims ${layout}`, describeList(dims));
  const [count, height, width, depth] = (areBytes ? dims : [dims[0], dims[2], dims[3], dims[1]]) as Quad;
  if (depth !== channels) {
    throw mismatch('ERR_SHAPE', `${where} dims`, `${channels} channels in ${layout}`, describeList(dims));
  }
  return { data, count, height, width };
}

type Quad = [count: number, height: number, width: number, depth: number];
