import { QARepVGGError } from '../errors';
import type { Tensor } from '../tensor';
import { placeOf, readWholeFile } from './files';
import { readPpm } from './ppm';

/** What an image shall become. */
export interface ImageTarget {
  /** Pixels; by default those of the file. */
  readonly size: { readonly height: number; readonly width: number } | undefined;
  /** 1: grey, 3: red, green, blue. */
  readonly channels: 1 | 3;
}

/** Bytes [height, width, channels]. */
export interface DecodedImage {
  readonly data: Uint8Array;
  readonly height: number;
  readonly width: number;
}

/** The part of sharp that is used here; its own types would make everyone install it. */
type Sharp = (bytes: Uint8Array, options?: SharpOptions) => SharpPipeline;
interface SharpOptions {
  /** The bytes are pixels, not a file. */
  readonly raw?: { readonly width: number; readonly height: number; readonly channels: 3 };
}
interface SharpPipeline {
  rotate(): SharpPipeline;
  resize(width: number, height: number, options: { fit: 'cover' }): SharpPipeline;
  removeAlpha(): SharpPipeline;
  toColourspace(space: 'srgb' | 'b-w'): SharpPipeline;
  raw(options: { depth: 'uchar' }): SharpPipeline;
  toBuffer(options: {
    resolveWithObject: true;
  }): Promise<{ data: Uint8Array; info: { width: number; height: number } }>;
}

/**
 * Reads an image file. Binary PPM is read here; other formats, scaling and grey are left to sharp
 * (https://sharp.pixelplumbing.com), an optional dependency: images are turned as their EXIF data say, scaled to cover the
 * size and cut in the middle, without transparency.
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG for a file that is no image; ERR_ADDON_LOAD when sharp is needed and not
 * installed; as {@link readWholeFile} for the path.
 */
export async function decodeImage(path: string, target: ImageTarget, where: string): Promise<DecodedImage> {
  const place = placeOf(path, where);
  const file = await readWholeFile(path, where);
  const ppm = file[0] === 0x50 && file[1] === 0x36 ? toBytes(readPpm(file, place)) : undefined;
  if (ppm && target.channels === 3 && fits(ppm, target)) return ppm;
  const sharp = await loadSharp(place);
  try {
    const { width = 0, height = 0 } = ppm ?? {};
    const upright = ppm ? sharp(ppm.data, { raw: { width, height, channels: 3 } }) : sharp(file).rotate();
    const scaled = target.size ? upright.resize(target.size.width, target.size.height, { fit: 'cover' }) : upright;
    const { data, info } = await scaled
      .removeAlpha()
      .toColourspace(target.channels === 1 ? 'b-w' : 'srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    return { data, height: info.height, width: info.width };
  } catch (error) {
    const [reason] = String((error as Error).message).split('\n');
    throw new QARepVGGError(
      'ERR_INVALID_ARG',
      `${place}: expected an image, received a file that sharp refuses: ${reason}`,
      {
        cause: error,
      },
    );
  }
}

function fits({ height, width }: DecodedImage, { size }: ImageTarget): boolean {
  return size === undefined || (size.height === height && size.width === width);
}

/** From planes of 0 to 1 back to the bytes of the file, exactly. */
function toBytes({ data, dims }: Tensor): DecodedImage {
  const [, channels, height, width] = dims as [number, number, number, number];
  const area = height * width;
  const bytes = Uint8Array.from(data, (_, i) => {
    const [pixel, channel] = [Math.floor(i / channels), i % channels];
    return Math.round((data[channel * area + pixel] as number) * 255);
  });
  return { data: bytes, height, width };
}

/** A name in a variable: the compiler would look for the package, which need not be there. */
const sharpPackage: string = 'sharp';

async function loadSharp(where: string): Promise<Sharp> {
  try {
    const { default: sharp } = (await import(sharpPackage)) as { default: Sharp };
    return sharp;
  } catch (error) {
    throw new QARepVGGError(
      'ERR_ADDON_LOAD',
      `${where}: expected the package sharp, for anything but PPM in colour and of the right size, received none; ` +
        'install it: npm install sharp',
      { cause: error },
    );
  }
}
