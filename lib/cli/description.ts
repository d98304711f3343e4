import { within } from '../errors';
import { readLabels } from '../formats/labels-file';
import type { Network, Preprocessing } from '../index';
import { emptyNetwork, networkCoreOf } from '../nn/networks/network';
import { checkNetworkOptions } from '../nn/networks/network-options';
import type { FuseFlags } from './fuse-command';
import { misuse } from './usage';

/** What a file of tensors does not say of its network, and no computation depends on. */
interface Description {
  readonly labels?: readonly string[];
  readonly preprocessing?: Preprocessing;
}

/**
 * @throws {QARepVGGError} ERR_INVALID_ARG for `--mean` without `--std`, or the reverse. @throws {QARepVGGError} for a file that does not hold
 * labels.
 */
export async function descriptionOf({ labels, mean, std }: FuseFlags): Promise<Description> {
  if ((mean === undefined) !== (std === undefined)) throw misuse('both --mean and --std', 'one of them');
  return {
    ...(labels !== undefined && { labels: await within('--labels', () => readLabels(labels)) }),
    ...(mean && std && { preprocessing: { mean, std } }),
  };
}

/** The same weights, with another description. */
export function describeAnew(model: Network, description: Description): Network {
  if (Object.keys(description).length === 0) return model;
  const { architecture, ...options } = model.options;
  const checked = checkNetworkOptions(architecture, { ...options, ...description });
  return emptyNetwork(checked, model.form, networkCoreOf(model).definition.store.values).eval();
}
