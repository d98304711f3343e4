import { failure, mismatch } from '../errors';
import type { ImageFormat } from './image-format';
import type { Pixels } from './pixels';

/** The part of sharp that is used here; its own types would require every user to install it. */
interface SharpPipeline {
  metadata(): Promise<SharpMetadata>;
  rotate(): SharpPipeline;
  resize(width: number, height: number, options: { fit: 'cover' | 'fill' }): SharpPipeline;
  composite(layers: readonly { readonly input: Uint8Array }[]): SharpPipeline;
  png(): SharpPipeline;
  jpeg(options: { quality: number }): SharpPipeline;
  removeAlpha(): SharpPipeline;
  pipelineColourspace(space: 'cmyk'): SharpPipeline;
  toColourspace(space: 'srgb' | 'b-w' | 'cmyk'): SharpPipeline;
  timeout(options: { seconds: number }): SharpPipeline;
  raw(options: { depth: 'uchar' }): SharpPipeline;
  toBuffer(options: {
    resolveWithObject: true;
  }): Promise<{ data: Uint8Array; info: { width: number; height: number; channels: number } }>;
}

interface SharpMetadata {
  readonly format: string;
  readonly width: number;
  readonly height: number;
  readonly depth: string;
  readonly space: string;
  readonly hasAlpha: boolean;
}

interface SharpOptions {
  /** The bytes are pixels, not a file. */
  readonly raw?: { readonly width: number; readonly height: number; readonly channels: number };
  readonly failOn?: 'error';
  readonly limitInputPixels?: number | false;
  /** Colour profiles are ignored, as by Pillow and PyTorch. */
  readonly ignoreIcc?: true;
}

type Sharp = (bytes: Uint8Array, options: SharpOptions) => SharpPipeline;

export interface Size {
  readonly height: number;
  readonly width: number;
}

/** How to decode a file. */
export interface Reading {
  /** Pixels to scale to; by default those of the file. */
  readonly size: Size | undefined;
  /** libvips refuses larger files. */
  readonly maxPixels: number;
  /** libvips stops after this time. */
  readonly seconds: number;
}

/** What the header of a file says. */
export interface Header extends Size {
  readonly isCmyk: boolean;
  readonly hasAlpha: boolean;
}

/** Files that browsers show with a warning are accepted; missing or damaged pixels are not. */
const fileOptions = { failOn: 'error', ignoreIcc: true } as const;

/** @throws {QARepVGGError} ERR_INVALID_ARG for a file that sharp refuses, and for pixels that are not of 8 or 16 bits. */
export async function readHeader(file: Uint8Array, format: ImageFormat): Promise<Header> {
  const sharp = await loadSharp();
  // The caller sets the limit, and knows the number of pixels.
  const metadata = await refusing(() => sharp(file, { ...fileOptions, limitInputPixels: false }).metadata());
  const { width, height, depth, space, hasAlpha } = metadata;
  if (metadata.format !== format) {
    throw mismatch('ERR_INVALID_ARG', `a ${format} image, as the first bytes say`, metadata.format);
  }
  if (depth !== 'uchar' && depth !== 'ushort') {
    throw mismatch('ERR_INVALID_ARG', 'an image of 8 or 16 bits per channel', `one of ${depth}`);
  }
  return { width, height, hasAlpha, isCmyk: space === 'cmyk' };
}

/**
 * Decodes a file, turned as its EXIF data say: to red, green, blue, or to CMYK where the file has that. Transparency is dropped
 * and changes no colour; of 16 bits the upper 8 remain.
 */
export async function decodeFile(
  file: Uint8Array,
  { isCmyk }: Header,
  { size, maxPixels, seconds }: Reading,
): Promise<Pixels> {
  const sharp = await loadSharp();
  return refusing(() => {
    const upright = sharp(file, { ...fileOptions, limitInputPixels: maxPixels }).rotate();
    const own = isCmyk ? upright.pipelineColourspace('cmyk') : upright;
    const scaled = size ? own.resize(size.width, size.height, { fit: 'cover' }) : own;
    return toPixels(scaled.removeAlpha().toColourspace(isCmyk ? 'cmyk' : 'srgb'), isCmyk ? 4 : 3, seconds);
  });
}

/** Scales to cover the size, and cuts the rest off on both sides. */
export async function scale({ data, height, width, channels }: Pixels, size: Size, seconds: number): Promise<Pixels> {
  const sharp = await loadSharp();
  return refusing(() => {
    const scaled = sharp(data, { raw: { width, height, channels }, limitInputPixels: false });
    const space = channels === 1 ? 'b-w' : 'srgb';
    return toPixels(scaled.resize(size.width, size.height, { fit: 'cover' }).toColourspace(space), channels, seconds);
  });
}

/**
 * A file of pixels in red, green, blue with a drawing over them.
 *
 * @param size Pixels to scale to.
 * @param drawing SVG of that size.
 */
export async function encodeWithDrawing(
  { data, height, width }: Size & { readonly data: Uint8Array },
  size: Size,
  drawing: string,
  format: 'png' | 'jpeg',
): Promise<Uint8Array> {
  const sharp = await loadSharp('drawing');
  try {
    const picture = sharp(data, { raw: { width, height, channels: 3 }, limitInputPixels: false })
      .resize(size.width, size.height, { fit: 'fill' })
      .composite([{ input: Buffer.from(drawing) }]);
    const file = format === 'png' ? picture.png() : picture.jpeg({ quality: 85 });
    return (await file.toBuffer({ resolveWithObject: true })).data;
  } catch (error) {
    const [reason] = String((error as Error).message).split('\n');
    const message = `expected an image that sharp can draw on, received ${width} x ${height} pixels: ${reason}`;
    throw failure('ERR_INVALID_ARG', message, { cause: error });
  }
}

async function toPixels(pipeline: SharpPipeline, channels: number, seconds: number): Promise<Pixels> {
  const { data, info } = await pipeline
    .timeout({ seconds })
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  if (info.channels !== channels) throw new Error(`${info.channels} channels of an unknown meaning`);
  return { data, height: info.height, width: info.width, channels };
}

async function refusing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const [reason] = String((error as Error).message).split('\n');
    const message = `expected an image, received a file that sharp refuses: ${reason}`;
    throw failure('ERR_INVALID_ARG', message, { cause: error });
  }
}

/** In a variable, so that the compiler does not look for the package, which is optional. */
const sharpPackage: string = 'sharp';

async function loadSharp(what = 'images other than PGM and PPM of the right size'): Promise<Sharp> {
  try {
    const { default: sharp } = (await import(sharpPackage)) as { default: Sharp };
    return sharp;
  } catch (error) {
    const message = `expected the package sharp for ${what}, received none; install it: npm install sharp`;
    throw failure('ERR_ADDON_LOAD', message, { cause: error });
  }
}
