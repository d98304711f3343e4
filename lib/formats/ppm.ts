import { describe, mismatch } from '../errors';
import type { Tensor } from '../tensor';

/** "P6", width, height and largest value, with comments between them, then one white-space byte. */
const header = /^P6(?:\s|#.*\n)+([1-9]\d{0,4})(?:\s|#.*\n)+([1-9]\d{0,4})(?:\s|#.*\n)+255\s/;

/** Enough for a header with a few comments; what follows is pixels. */
const maxHeaderBytes = 4096;

/**
 * Reads a binary PPM image (P6, 8 bits per channel; https://netpbm.sourceforge.net/doc/ppm.html) of at most
 * 99999 x 99999 pixels.
 *
 * @returns Dims [1, 3, height, width], RGB from 0 to 1.
 * @throws {QARepVGGError} ERR_INVALID_ARG when the header is anything else or the pixels are too few or too many.
 */
export function readPpm(file: Uint8Array, where: string): Tensor {
  const text = Buffer.from(file.subarray(0, maxHeaderBytes)).toString('latin1');
  const match = header.exec(text);
  if (!match) {
    throw mismatch('ERR_INVALID_ARG', where, 'a binary PPM image (P6, 8 bits)', describe(text.slice(0, 16)));
  }
  const [width, height] = [Number(match[1]), Number(match[2])];
  const area = width * height;
  const pixels = file.subarray(match[0].length);
  if (pixels.length !== 3 * area) {
    throw mismatch('ERR_INVALID_ARG', where, `${3 * area} bytes of pixels`, String(pixels.length));
  }
  // Interleaved RGB to three planes.
  const data = Float32Array.from({ length: 3 * area }, (_, i) => {
    const [channel, pixel] = [Math.floor(i / area), i % area];
    return (pixels[3 * pixel + channel] as number) / 255;
  });
  return { data, dims: [1, 3, height, width] };
}
