import { describe, mismatch } from '../errors';
import { Dataset } from '../formats/dataset';
import type { CheckedNetworkOptions } from '../nn/network-options';

/** @throws {QARepVGGError} ERR_INVALID_ARG, ERR_SHAPE unless the network can be trained or judged on these images. */
export function checkDataset(
  dataset: unknown,
  { inChannels, numClasses }: CheckedNetworkOptions,
  where: string,
): Dataset {
  if (!(dataset instanceof Dataset)) {
    throw mismatch('ERR_INVALID_ARG', `${where}, data set`, 'a Dataset', describe(dataset));
  }
  const [, , channels] = dataset.dims;
  if (channels !== inChannels) {
    throw mismatch('ERR_SHAPE', `${where}, data set`, `images of ${inChannels} channels`, `${channels}`);
  }
  if (dataset.classes.length > numClasses) {
    const expected = `at most ${numClasses} classes, as the network has`;
    throw mismatch('ERR_INVALID_ARG', `${where}, data set`, expected, `${dataset.classes.length}`);
  }
  return dataset;
}
