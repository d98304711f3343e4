import type { TensorLike } from '../tensor';

/** 8-bit images, channels last, as decoders of image files return them. */
export interface ByteImages {
  readonly data: Uint8Array;
  /** [n, h, w, c] */
  readonly dims: readonly number[];
}

/** Images that a session takes: floats [n, c, h, w], or bytes [n, h, w, c]. */
export type Images = TensorLike | ByteImages;
