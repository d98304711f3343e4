import { addon } from './binding';
import { failure, mismatch } from './errors';

/** More than any published network uses; keeps every product of sizes far from overflow. */
export const maxChannels = 65536;

/** Largest dilation and padding: the memory of a halo grows with them. */
export const maxHalo = 256;

/** Most dims a tensor may have. */
export const maxRank = 8;

/** Bytes of a huge page on most machines. */
const hugePage = 2 ** 21;

/** Arrays of this size and above use huge pages. */
const hugeBytes = 2 * hugePage;

/** Most floats in one array that this package allocates: 8 GiB. */
const maxFloats = 2 ** 31 - 1;

/**
 * The product of sizes, each a positive integer.
 *
 * @throws {QARepVGGError} ERR_SIZE_OVERFLOW when that many floats have more than 2^53 - 1 bytes.
 */
export function checkedProduct(sizes: readonly number[]): number {
  let product = 1;
  for (const size of sizes) {
    // Exact: both factors are below 2^53, and a rounded product is at least 2^53.
    product *= size;
    if (product * Float32Array.BYTES_PER_ELEMENT > Number.MAX_SAFE_INTEGER) {
      throw mismatch('ERR_SIZE_OVERFLOW', 'a size below 2^53 bytes', `[${sizes.join(', ')}]`);
    }
  }
  return product;
}

/**
 * A new array of `count` zeros.
 *
 * @throws {QARepVGGError} ERR_LIMIT above 2^31 - 1 floats, ERR_OUT_OF_MEMORY when the machine lacks the memory.
 */
export function allocateFloats(count: number): Float32Array {
  if (count > maxFloats) throw mismatch('ERR_LIMIT', `at most ${maxFloats} numbers`, String(count));
  return new Float32Array(allocate(count * Float32Array.BYTES_PER_ELEMENT));
}

/**
 * A new buffer of zeros. Large ones ask for huge pages: where a page is slow to get, as in virtual machines, the first touch of a
 * large buffer may take longer than everything that is done with it.
 *
 * @throws {QARepVGGError} ERR_OUT_OF_MEMORY when the machine has not enough memory.
 */
export function allocate(bytes: number): ArrayBuffer {
  const buffer = newBuffer(bytes);
  if (bytes >= hugeBytes) addon.adviseHugePages(buffer);
  return buffer;
}

/**
 * Same as {@link allocate}, but large bytes lie in huge pages from the first to the last, in a buffer with room before and after them:
 * the edges of other buffers lie in small pages. Most of the room is never touched, so it takes no memory.
 */
export function allocateAligned(bytes: number): Uint8Array {
  if (bytes < hugeBytes) return new Uint8Array(newBuffer(bytes));
  const buffer = newBuffer(bytes + 2 * hugePage);
  return new Uint8Array(buffer, addon.adviseHugePages(buffer), bytes);
}

function newBuffer(bytes: number): ArrayBuffer {
  try {
    return new ArrayBuffer(bytes);
  } catch (error) {
    throw failure('ERR_OUT_OF_MEMORY', `out of memory, ${bytes} bytes needed`, { cause: error });
  }
}
