import type { Steps } from '../slices';
import { zlib } from './zlib';

/** These take about a millisecond. */
const bytesPerStep = 2 ** 22;

/** CRC-32 of bytes. @param start The checksum of the bytes before them. */
export function* crc32Of(bytes: Uint8Array, start = 0): Steps<number> {
  const { crc32 } = zlib();
  let crc = start;
  for (let begin = 0; begin < bytes.length; begin += bytesPerStep) {
    crc = crc32(bytes.subarray(begin, begin + bytesPerStep), crc);
    yield;
  }
  return crc;
}
