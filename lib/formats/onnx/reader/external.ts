import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { failure, mismatch, quote, within } from '../../../errors';
import { readWholeFile } from '../../files';
import { externalLocation, type ModelFile, type TensorFields } from '../schema';
import type { ExternalBytes } from './tensors';

/**
 * Reads the files that hold tensors of a model: regular files in the model's own folder, or in one below it.
 *
 * @param folder The folder of the model; undefined for a model given as bytes, which must contain its tensors.
 * @throws {QARepVGGError} ERR_MODEL_FORMAT for a place outside the folder or beyond the end of a file; ERR_INVALID_ARG for a file
 * that cannot be read.
 */
export async function readExternal(file: ModelFile, folder: string | undefined): Promise<ExternalBytes> {
  const tensors = tensorsOf(file).filter(({ location }) => location === externalLocation);
  const files = new Map<string, Uint8Array>();
  for (const tensor of tensors) {
    const place = `tensor ${quote(tensor.name ?? '')}`;
    const { location = '' } = within(place, () => placeOf(tensor));
    if (files.has(location)) continue;
    if (folder === undefined) {
      throw mismatch(
        'ERR_MODEL_FORMAT',
        place,
        'a tensor in the file',
        `one in ${quote(location)}; import the model from its path`,
      );
    }
    const file = await within(place, () => insideFolder(folder, location));
    files.set(location, await readWholeFile(file));
  }
  return (tensor) => {
    const place = `tensor ${quote(tensor.name ?? '')}`;
    const { location = '', offset, length } = within(place, () => placeOf(tensor));
    const bytes = files.get(location) as Uint8Array;
    const end = offset + (length ?? bytes.length - offset);
    if (end <= bytes.length && offset <= end) return bytes.subarray(offset, end);
    throw mismatch(
      'ERR_MODEL_FORMAT',
      place,
      `bytes within the ${bytes.length} of ${quote(location)}`,
      `${offset} to ${end}`,
    );
  };
}

function tensorsOf({ graph, functions }: ModelFile): TensorFields[] {
  const nodes = [...(graph?.nodes ?? []), ...functions.flatMap((body) => body.nodes)];
  const inNodes = nodes.flatMap(({ attributes }) => attributes.flatMap(({ tensor }) => tensor ?? []));
  return [...(graph?.initializers ?? []), ...inNodes];
}

interface Place {
  readonly location?: string;
  readonly offset: number;
  readonly length?: number;
}

function placeOf({ external }: TensorFields): Place {
  const entries = new Map(external.map(({ key, value }) => [key, value]));
  const sizes = ['offset', 'length'].map((name) => {
    const text = entries.get(name);
    if (text === undefined || /^\d{1,15}$/.test(text)) return text === undefined ? undefined : Number(text);
    throw mismatch('ERR_MODEL_FORMAT', name, 'a number of bytes', quote(text));
  });
  const location = entries.get('location');
  if (!location) throw mismatch('ERR_MODEL_FORMAT', 'the location of its bytes', 'none');
  const [offset = 0, length] = sizes;
  return { location, offset, ...(length !== undefined && { length }) };
}

/** Follows links first: the file itself must be inside the folder. */
async function insideFolder(folder: string, location: string): Promise<string> {
  const odd = mismatch('ERR_MODEL_FORMAT', "a file in the model's folder", quote(location));
  if (location.includes('\0') || path.isAbsolute(location)) throw odd;
  try {
    const root = await realpath(folder);
    const file = await realpath(path.join(root, location));
    if (file.startsWith(root + path.sep)) return file;
  } catch (error) {
    throw failure('ERR_INVALID_ARG', `expected the file ${quote(location)}, received none`, { cause: error });
  }
  throw odd;
}
