import { describe, mismatch, within } from '../errors';
import { Dataset } from '../formats/dataset';
import { readForeign } from '../options';

/**
 * @param network Without it, the images may have any channels and classes.
 * @throws {QARepVGGError} ERR_INVALID_ARG, ERR_SHAPE unless the network can be trained or evaluated on these images.
 */
export function checkDataset(
  dataset: unknown,
  network: { readonly inChannels: number; readonly numClasses: number } | undefined,
): Dataset {
  const place = 'data set';
  const own = within(place, () => readForeign(() => (dataset instanceof Dataset ? dataset : undefined)));
  if (!own) throw mismatch('ERR_INVALID_ARG', place, 'a Dataset', describe(dataset));
  if (!network) return own;
  const { inChannels, numClasses } = network;
  const [, , channels] = own.dims;
  if (channels !== inChannels) {
    throw mismatch('ERR_SHAPE', place, `images of ${inChannels} channels`, `${channels}`);
  }
  if (own.classes.length > numClasses) {
    const expected = `at most ${numClasses} classes, as the network has`;
    throw mismatch('ERR_INVALID_ARG', place, expected, `${own.classes.length}`);
  }
  return own;
}
