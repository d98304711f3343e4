import { describeList, mismatch, within } from '../errors';
import type { ByteImages } from '../runtime/images';
import { checkBytes, readTensor } from '../tensor';

/**
 * One image of bytes, with dims [1, height, width, channels] or [height, width, channels].
 *
 * @throws {QARepVGGError} ERR_SHAPE for other dims, and for several images; ERR_DTYPE, ERR_BUFFER_*.
 */
export function readByteImage(value: unknown): ByteImages {
  return within('image', () => checkByteImage(value));
}

function checkByteImage(value: unknown): ByteImages {
  const { data, dims } = readTensor(value);
  const image = checkBytes(data, dims);
  const all = image.dims.length === 3 ? [1, ...image.dims] : image.dims;
  if (all.length === 4 && all[0] === 1) return { data: image.data, dims: all };
  throw mismatch('ERR_SHAPE', ' dims', 'one image, [1, height, width, channels]', describeList(image.dims));
}
