/**
 * The safetensors format (https://github.com/huggingface/safetensors): the length of the header, a little-endian u64; the header
 * in JSON, name -> dtype, shape, data_offsets, and free text under `__metadata__`; the data.
 */
import { describe, mismatch } from '../../errors';
import { inSlices } from '../../slices';
import type { Tensor } from '../../tensor';
import { writeAtomically } from '../atomic';
import type { RawTensor } from '../dtypes';
import { checkEnding, checkStart, isSafetensors } from '../file-format';
import { startBytes } from '../file-kinds';
import { type InputFile, useFile, withFile, withinFile } from '../files';
import { tensorsToFloat32 } from '../float32';
import type { FileSource } from '../sources';
import { checkSum, noSum, stampSum } from './checksum';
import { parseHeader, prefixBytes, readHeaderLength, unreadTensors, viewTensors } from './header';
import { serializeSafetensors, type WritableTensors } from './serialize';

export { serializeSafetensors, type WritableTensors };

/** What a safetensors file holds. The objects have no prototype: any name is safe as a key. */
export interface SafetensorsFile<T> {
  readonly tensors: Record<string, T>;
  /** Without the checksum. */
  readonly metadata: Record<string, string>;
  /** Types of the tensors that are not read, because this package lacks the type, by name. */
  readonly unread: Record<string, string>;
}

/**
 * Reads a safetensors file and returns every tensor in float32. Tensors that are F32 in the file are views of one buffer.
 *
 * @throws {QARepVGGError} ERR_MODEL_FORMAT for a malformed file: truncated, too long, with holes or overlaps in the data, with a
 * repeated name, or with a wrong checksum; ERR_NON_FINITE for a number too large for float32; ERR_LIMIT for a header above
 * 16 MiB; the errors of {@link withFile} for the path.
 *
 * @example
 * const { tensors, metadata } = await readSafetensors('model.safetensors');
 * tensors['stage0.rbr_dense.conv.weight']; // { data: Float32Array, dims: [48, 3, 3, 3] }
 */
export async function readSafetensors(path: FileSource): Promise<SafetensorsFile<Tensor>> {
  return withinFile(path, async () => inFloat32(await readRawSafetensors(path)));
}

/** Converts the tensors of a file to float32. @throws {QARepVGGError} the errors of {@link tensorsToFloat32} */
export async function inFloat32(file: SafetensorsFile<RawTensor>): Promise<SafetensorsFile<Tensor>> {
  return { ...file, tensors: await inSlices(tensorsToFloat32(Object.entries(file.tensors))) };
}

/** Same as {@link readSafetensors}, but each tensor keeps the element type that it has in the file, and errors do not name the file. */
export function readRawSafetensors(path: FileSource): Promise<SafetensorsFile<RawTensor>> {
  // The header is checked before memory for the data is taken; that memory is aligned for every element type.
  return useFile(path, async (file) => {
    const start = await readStart(file);
    const prefix = start.subarray(0, prefixBytes);
    const length = readHeaderLength(prefix, file.size);
    const dataBytes = file.size - prefixBytes - length;
    const text = Buffer.concat([start.subarray(prefixBytes), await file.read(Math.max(length - 1, 0))]);
    const header = await inSlices(parseHeader(text, dataBytes));
    const data = await file.read(dataBytes);
    const metadata = await inSlices(checkSum([prefix, text, data], header.metadata));
    return { tensors: await inSlices(viewTensors(header, data)), metadata, unread: unreadTensors(header) };
  });
}

/**
 * Reads the length of the header and its first byte.
 *
 * @throws {QARepVGGError} ERR_MODEL_FORMAT for a file that is clearly of another kind
 */
async function readStart(file: InputFile): Promise<Uint8Array> {
  const start = await file.read(Math.min(prefixBytes + 1, file.size));
  if (isSafetensors(start)) return start;
  const rest = await file.read(Math.min(startBytes, file.size) - start.length);
  checkStart(Buffer.concat([start, rest]), 'safetensors');
  readHeaderLength(start, file.size);
  throw mismatch('ERR_MODEL_FORMAT', 'header', '"{"', describe(Buffer.from(start).toString('latin1', 8)));
}

/**
 * Writes a safetensors file with a checksum: all of it or nothing, see {@link writeAtomically}. The tensors are copied before the
 * call returns its promise, so later changes do not affect the file.
 *
 * @throws {QARepVGGError} the errors of {@link serializeSafetensors}, {@link writeAtomically} and {@link checkEnding}
 *
 * @example
 * await writeSafetensors('block.safetensors', block.stateDict(), { variant: 'S4' });
 */
export async function writeSafetensors(
  path: string | URL,
  tensors: WritableTensors,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  checkEnding(path, 'safetensors');
  const file = serializeSafetensors(tensors, { ...metadata, ...noSum });
  await inSlices(stampSum(file));
  await writeAtomically(path, file);
}
