/**
 * The safetensors format (https://github.com/huggingface/safetensors): a little-endian u64, the length of the header; the
 * header in JSON, name -> dtype, shape, data_offsets, and free text under `__metadata__`; the data.
 */
import type { Tensor } from '../../tensor';
import { writeAtomically } from '../atomic';
import { type RawTensor, tensorsToFloat32 } from '../dtypes';
import { checkEnding, checkStart } from '../file-format';
import { placeOf, withFile } from '../files';
import { parseHeader, prefixBytes, readHeaderLength, viewTensors } from './header';
import { serializeSafetensors, type WritableTensors } from './serialize';

export { serializeSafetensors, type WritableTensors };

/** What a safetensors file holds. Both objects have no prototype: any name is safe as a key. */
export interface SafetensorsFile<T> {
  readonly tensors: Record<string, T>;
  readonly metadata: Record<string, string>;
}

/**
 * Reads a safetensors file and gives every tensor in float32. Tensors that are F32 in the file are views of one buffer.
 *
 * @throws {QARepVGGError} ERR_MODEL_FORMAT for anything but a well-formed file: truncated, with bytes left over, with
 * holes or overlaps in the data, with a name twice; ERR_NON_FINITE for a number too large for float32; ERR_LIMIT for a header
 * above 16 MiB; as {@link withFile} for the path.
 *
 * @example
 * const { tensors, metadata } = await readSafetensors('model.safetensors');
 * tensors['stage0.rbr_dense.conv.weight']; // { data: Float32Array, dims: [48, 3, 3, 3] }
 */
export async function readSafetensors(path: string, where = 'readSafetensors'): Promise<SafetensorsFile<Tensor>> {
  return inFloat32(await readRawSafetensors(path, where), placeOf(path, where));
}

/** What a file holds, in float32. @throws {QARepVGGError} as {@link tensorsToFloat32} */
export function inFloat32({ tensors, metadata }: SafetensorsFile<RawTensor>, where: string): SafetensorsFile<Tensor> {
  return { tensors: tensorsToFloat32(Object.entries(tensors), where), metadata };
}

/** As {@link readSafetensors}, but each tensor keeps the element type it has in the file. */
export function readRawSafetensors(path: string, where = 'readRawSafetensors'): Promise<SafetensorsFile<RawTensor>> {
  // The header is read and checked before memory for the data is taken, which then is aligned for every element type.
  return withFile(path, where, async (file) => {
    const prefix = await file.read(Math.min(prefixBytes, file.size));
    checkStart(prefix, 'safetensors', file.where);
    const length = readHeaderLength(prefix, file.size, file.where);
    const dataBytes = file.size - prefixBytes - length;
    const header = parseHeader(await file.read(length), dataBytes, file.where);
    return { tensors: viewTensors(header, await file.read(dataBytes)), metadata: header.metadata };
  });
}

/**
 * Writes a safetensors file, all of it or nothing: see {@link writeAtomically}. The tensors are copied before this
 * returns its promise; changing them later does not reach the file.
 *
 * @throws {QARepVGGError} as {@link serializeSafetensors}, {@link writeAtomically} and {@link checkEnding}
 *
 * @example
 * await writeSafetensors('block.safetensors', block.stateDict(), { variant: 'S4' });
 */
export async function writeSafetensors(
  path: string,
  tensors: WritableTensors,
  metadata: Readonly<Record<string, string>> = {},
  where = 'writeSafetensors',
): Promise<void> {
  checkEnding(path, 'safetensors', where);
  await writeAtomically(path, serializeSafetensors(tensors, metadata, where), where);
}
