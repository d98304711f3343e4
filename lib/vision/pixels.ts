import { letOthersRun } from '../runtime/abort';

/** Bytes [height, width, channels]: 1 grey, 3 red, green, blue, 4 cyan, magenta, yellow, black. */
export interface Pixels {
  readonly data: Uint8Array;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

/** Pixels to convert before the event loop has its turn: a few milliseconds. */
const slice = 2 ** 20;

/** Writes the pixels from `start` to `end`. */
type Convert = (from: Uint8Array, to: Uint8Array, start: number, end: number) => void;

/** The same image in grey or in red, green and blue. Converts as Pillow and PyTorch do, to the bit. */
export async function toChannels(image: Pixels, channels: 1 | 3, signal: AbortSignal | undefined): Promise<Pixels> {
  if (image.channels === channels) return image;
  if (image.channels === 4) return toChannels(await map(image, 3, cmykToRgb, signal), channels, signal);
  return map(image, channels, channels === 1 ? rgbToLuma : greyToRgb, signal);
}

/** Converts pixel by pixel, in slices. @throws {QARepVGGError} ERR_ABORTED */
export async function map(
  { data, height, width }: Pixels,
  channels: number,
  convert: Convert,
  signal: AbortSignal | undefined,
): Promise<Pixels> {
  const area = height * width;
  const converted = new Uint8Array(area * channels);
  for (let start = 0; start < area; start += slice) {
    if (start > 0) await letOthersRun(signal);
    convert(data, converted, start, Math.min(start + slice, area));
  }
  return { data: converted, height, width, channels };
}

/** Rec. 601 luma, in Pillow's fixed-point numbers. */
function rgbToLuma(from: Uint8Array, to: Uint8Array, start: number, end: number): void {
  for (let i = start; i < end; i++) {
    const [red, green, blue] = [from[3 * i] as number, from[3 * i + 1] as number, from[3 * i + 2] as number];
    to[i] = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16;
  }
}

function greyToRgb(from: Uint8Array, to: Uint8Array, start: number, end: number): void {
  for (let i = start; i < end; i++) to.fill(from[i] as number, 3 * i, 3 * i + 3);
}

/** Without a colour profile: each ink takes its share of the light that black leaves. */
function cmykToRgb(from: Uint8Array, to: Uint8Array, start: number, end: number): void {
  for (let i = start; i < end; i++) {
    const light = 255 - (from[4 * i + 3] as number);
    for (let channel = 0; channel < 3; channel++) {
      const product = (from[4 * i + channel] as number) * light + 128;
      to[3 * i + channel] = light - (((product >> 8) + product) >> 8);
    }
  }
}
