import { describe, mismatch } from '../errors';
import { map, type Pixels } from './pixels';

/** "P5" or "P6", width, height and largest value, with comments between them, then one white-space byte. */
const headerPattern = /^P([56])(?:\s|#.*\n)+([1-9]\d{0,4})(?:\s|#.*\n)+([1-9]\d{0,4})(?:\s|#.*\n)+([1-9]\d{0,4})\s/;

/** Enough for a header with a few comments; what follows is pixels. */
const maxHeaderBytes = 4096;

/** What a file says before its pixels. */
export interface NetpbmHeader {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  /** The value of white. */
  readonly maxValue: number;
  /** Where the pixels begin. */
  readonly offset: number;
}

/**
 * Reads the header of a binary PGM or PPM image (P5, P6; https://netpbm.sourceforge.net/doc/ppm.html) of at most
 * 99999 x 99999 pixels.
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG for any other file, and for one with too few pixels.
 */
export function readNetpbmHeader(file: Uint8Array): NetpbmHeader {
  const text = Buffer.from(file.subarray(0, maxHeaderBytes)).toString('latin1');
  const match = headerPattern.exec(text);
  const [width, height, maxValue] = [Number(match?.[2]), Number(match?.[3]), Number(match?.[4])];
  if (!match || maxValue > 65_535) {
    throw mismatch('ERR_INVALID_ARG', 'a binary PGM or PPM image (P5, P6)', describe(text.slice(0, 16)));
  }
  const header = { width, height, maxValue, channels: match[1] === '5' ? 1 : 3, offset: match[0].length } as const;
  const bytes = width * height * header.channels * (maxValue > 255 ? 2 : 1);
  const received = file.length - header.offset;
  // Further images and line ends may follow; they are left alone, as by other readers.
  if (received < bytes) throw mismatch('ERR_INVALID_ARG', `${bytes} bytes of pixels`, `${received}`);
  return header;
}

/** The pixels, with 255 for white; a view where the file has it so. @throws {QARepVGGError} ERR_ABORTED */
export async function readNetpbm(
  file: Uint8Array,
  { width, height, channels, maxValue, offset }: NetpbmHeader,
  signal: AbortSignal | undefined,
): Promise<Pixels> {
  const data = file.subarray(offset);
  const image = { data: data.subarray(0, width * height * channels), height, width, channels };
  if (maxValue === 255) return image;
  const read =
    maxValue > 255
      ? (i: number) => ((data[2 * i] as number) << 8) | (data[2 * i + 1] as number)
      : (i: number) => data[i] as number;
  return map(
    image,
    channels,
    (_, to, start, end) => {
      for (let i = start * channels; i < end * channels; i++)
        to[i] = Math.min(255, Math.round((read(i) / maxValue) * 255));
    },
    signal,
  );
}
