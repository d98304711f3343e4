import { types } from 'node:util';
import { boundary, describe, mismatch, within } from '../errors';
import { integer, oneOf, optional, type Parsed, parseOptions } from '../options';
import { signalField } from '../runtime/abort';
import type { ByteImages } from '../runtime/images';
import { type DecodeOptions, decodeImage, defaultMaxPixels, defaultTimeout, viewOf } from './decode';

/** Options of {@link readImage}. */
export interface ReadImageOptions {
  /** Height of the result in pixels; needs `width` too. By default that of the file. */
  readonly height?: number;
  readonly width?: number;
  /** 1: grey, 3: red, green, blue. @default 3 */
  readonly channels?: 1 | 3;
  /** Most pixels of a file, which its header tells. @default 64,000,000 */
  readonly maxPixels?: number;
  /** Milliseconds that decoding may take. @default 30,000 */
  readonly timeout?: number;
  /** Rejects with ERR_ABORTED. */
  readonly signal?: AbortSignal;
}

const optionalSide = optional(integer(1, 65_535));

/** What every reader of image files takes. */
export const readImageFields = {
  height: optionalSide,
  width: optionalSide,
  channels: oneOf([1, 3], 3),
  maxPixels: integer(1, 2 ** 31 - 1, defaultMaxPixels),
  timeout: integer(1, 3_600_000, defaultTimeout),
  signal: signalField,
};

/**
 * Reads an image file, given as a path or as its bytes, for a network: JPEG, PNG, WebP, GIF, TIFF and AVIF by
 * [sharp](https://sharp.pixelplumbing.com), which is installed beside this package, binary PGM and PPM without it. Drawings, such
 * as SVG, are refused.
 *
 * The image is turned as its EXIF data say, scaled to cover the size asked for with its proportions kept, and cut in the middle.
 * Colours become bytes as in Pillow and PyTorch: transparency and colour profiles are ignored, 16 bits lose the lower
 * 8, CMYK is converted without a profile, and grey is luma (0.299 R + 0.587 G + 0.114 B).
 *
 * @returns Bytes of dims [1, height, width, channels], which sessions take.
 * @throws {QARepVGGError} (rejects) ERR_INVALID_ARG for a file that is no image, or damaged; ERR_LIMIT for one of too
 * many pixels, and for one that takes too long; ERR_ADDON_LOAD when sharp is needed and not installed;
 * ERR_BUFFER_DETACHED; ERR_ABORTED.
 *
 * @example
 * const image = await readImage('cat.jpg', { height: 224, width: 224 });
 * const { logits } = await session.run({ input: image });
 */
export async function readImage(
  source: string | Uint8Array | ArrayBuffer,
  options: ReadImageOptions = {},
): Promise<ByteImages> {
  return boundary('readImage', async () => {
    const checked = readDecodeOptions(parseOptions(readImageFields, options));
    const { data, height, width, channels } = await decodeImage(checkSource(source), checked);
    return { data, dims: [1, height, width, channels] };
  });
}

/** @throws {QARepVGGError} ERR_INVALID_ARG for a height without a width, or the reverse. */
export function readDecodeOptions({ height, width, ...rest }: Parsed<typeof readImageFields>): DecodeOptions {
  if (height === undefined && width === undefined) return { ...rest, size: undefined };
  if (height !== undefined && width !== undefined) return { ...rest, size: { height, width } };
  throw mismatch('ERR_INVALID_ARG', 'options', 'both height and width', 'one of them');
}

function checkSource(source: unknown): string | Uint8Array {
  if (typeof source === 'string' || types.isUint8Array(source)) return source;
  if (types.isArrayBuffer(source)) return within('image', () => viewOf(source));
  throw mismatch('ERR_INVALID_ARG', 'image', 'a path, a Uint8Array or an ArrayBuffer', describe(source));
}
