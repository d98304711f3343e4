import { availableParallelism } from 'node:os';
import { failure, mismatch, type QARepVGGError, within } from '../errors';
import { placeOf, useFile } from '../formats/files';
import { throwIfAborted, untilAborted } from '../runtime/abort';
import { detectFormat, type ImageFormat } from './image-format';
import { readNetpbm, readNetpbmHeader } from './netpbm';
import { type Pixels, toChannels } from './pixels';
import { Semaphore } from './semaphore';
import { decodeFile, readHeader, type Size, scale } from './sharp';
import { TimeLimit } from './time-limit';

/** What an image becomes, and what decoding may cost. */
export interface DecodeOptions {
  /** Pixels; by default those of the file. */
  readonly size: Size | undefined;
  /** 1: grey, 3: red, green, blue. */
  readonly channels: 1 | 3;
  /** Most pixels of a file. */
  readonly maxPixels: number;
  /** Milliseconds that decoding may take. */
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
}

export const defaultMaxPixels = 64_000_000;
export const defaultTimeout = 30_000;

/** sharp computes on the threads that Node uses for files and host names; one of them stays free. */
const threads = Number(process.env.UV_THREADPOOL_SIZE) || 4;
const decoding = new Semaphore(Math.max(1, Math.min(threads - 1, availableParallelism())));

/** Pixels of all images that are decoded at the same time: large images wait for each other. */
const pixelBudget = new Semaphore(defaultMaxPixels);

/** An uncompressed pixel has 8 bytes at most, and a file may hold more than pixels. */
const bytesPerPixel = 16;
const minByteLimit = 2 ** 26;

/**
 * Decodes an image file, given as a path or as bytes: the only way from a file to pixels. The first bytes tell the format, and
 * the header is read before the pixels. Bytes are copied before the promise is returned. Many images at once wait for each
 * other.
 *
 * @throws {QARepVGGError} (rejects) ERR_INVALID_ARG for a file that is damaged or no image of pixels; ERR_LIMIT for too many
 * pixels or bytes, or too much time; ERR_ADDON_LOAD when sharp is needed and not installed; ERR_ABORTED;
 * for a path as {@link withFile}.
 */
export async function decodeImage(source: string | Uint8Array, options: DecodeOptions): Promise<Pixels> {
  return within(typeof source === 'string' ? placeOf(source) : 'image', () => decodeSource(source, options));
}

async function decodeSource(source: string | Uint8Array, options: DecodeOptions): Promise<Pixels> {
  const { maxPixels, timeout, signal } = options;
  throwIfAborted(signal);
  const read = typeof source === 'string' ? () => readFile(source, maxPixels) : keep(copy(source, maxPixels));
  const limit = new TimeLimit();
  const work = decoding.run(1, async () => {
    throwIfAborted(signal);
    limit.start(timeout);
    return decode(await read(), options);
  });
  try {
    return await untilAborted(Promise.race([work, limit.expired]), signal);
  } finally {
    // Abandoned work keeps its place in the semaphore until libvips ends it.
    limit.stop();
  }
}

async function decode(file: Uint8Array, options: DecodeOptions): Promise<Pixels> {
  const format = detectFormat(file);
  const decoded = await (format === 'netpbm' ? decodeNetpbm(file, options) : decodeBySharp(file, format, options));
  return toChannels(decoded, options.channels, options.signal);
}

async function decodeNetpbm(file: Uint8Array, options: DecodeOptions): Promise<Pixels> {
  const header = readNetpbmHeader(file);
  return withinBudget(header, options, async () => {
    const whole = await readNetpbm(file, header, options.signal);
    return toSize(whole, options);
  });
}

async function decodeBySharp(file: Uint8Array, format: ImageFormat, options: DecodeOptions): Promise<Pixels> {
  const { size, maxPixels, signal } = options;
  const header = await readHeader(file, format);
  return withinBudget(header, options, async () => {
    const limits = { maxPixels, seconds: secondsOf(options) };
    if (!header.isCmyk && !header.hasAlpha) return decodeFile(file, header, { ...limits, size });
    // sharp would weigh colours by their opacity when it scales, and would scale CMYK as ink rather than as colours.
    const whole = await decodeFile(file, header, { ...limits, size: undefined });
    return toSize(header.isCmyk ? await toChannels(whole, 3, signal) : whole, options);
  });
}

async function toSize(image: Pixels, options: DecodeOptions): Promise<Pixels> {
  const { size } = options;
  if (size === undefined || (size.height === image.height && size.width === image.width)) return image;
  return scale(image, size, secondsOf(options));
}

function withinBudget<T>(
  { width, height }: Size,
  { maxPixels, signal }: DecodeOptions,
  work: () => Promise<T>,
): Promise<T> {
  if (width * height > maxPixels) {
    const expected = `an image of at most ${maxPixels} pixels (option maxPixels)`;
    throw mismatch('ERR_LIMIT', expected, `one of ${width} x ${height}`);
  }
  return pixelBudget.run(width * height, () => {
    throwIfAborted(signal);
    return work();
  });
}

function secondsOf({ timeout }: DecodeOptions): number {
  return Math.ceil(timeout / 1000);
}

function readFile(path: string, maxPixels: number): Promise<Uint8Array> {
  return useFile(path, (file) => {
    checkLength(file.size, maxPixels);
    return file.read(file.size);
  });
}

/** A copy: the caller may change or transfer its bytes meanwhile. */
function copy(bytes: Uint8Array, maxPixels: number): Uint8Array {
  checkLength(bytes.length, maxPixels);
  try {
    return new Uint8Array(bytes);
  } catch (error) {
    throw detached(error);
  }
}

/** @throws {QARepVGGError} ERR_BUFFER_DETACHED */
export function viewOf(buffer: ArrayBuffer): Uint8Array {
  try {
    return new Uint8Array(buffer);
  } catch (error) {
    throw detached(error);
  }
}

function detached(cause: unknown): QARepVGGError {
  const message = 'expected the bytes of an image, received a detached ArrayBuffer';
  return failure('ERR_BUFFER_DETACHED', message, { cause });
}

function keep(bytes: Uint8Array): () => Promise<Uint8Array> {
  return () => Promise.resolve(bytes);
}

function checkLength(bytes: number, maxPixels: number): void {
  const limit = Math.max(minByteLimit, bytesPerPixel * maxPixels);
  if (bytes > limit) throw mismatch('ERR_LIMIT', `an image file of at most ${limit} bytes`, `${bytes}`);
}
