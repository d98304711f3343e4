import { readLabels } from '../formats/labels-file';
import type { Network, Preprocessing } from '../index';
import { emptyNetwork, networkCoreOf } from '../nn/networks/network';
import { checkNetworkOptions } from '../nn/networks/network-options';
import type { FuseFlags } from './fuse-command';
import { misuse } from './usage';

/** What a file of tensors does not say of its network, and computes nothing. */
interface Description {
  readonly labels?: readonly string[];
  readonly preprocessing?: Preprocessing;
}

/** @throws {UsageError} for one of `--mean` and `--std` alone. @throws {QARepVGGError} for a file of labels that is none. */
export async function descriptionOf({ labels, mean, std }: FuseFlags, where: string): Promise<Description> {
  if ((mean === undefined) !== (std === undefined)) throw misuse(where, 'both --mean and --std', 'one of them');
  return {
    ...(labels !== undefined && { labels: await readLabels(labels, `${where}, --labels`) }),
    ...(mean && std && { preprocessing: { mean, std } }),
  };
}

/** The same weights, with another description. */
export function describeAnew(model: Network, description: Description, where: string): Network {
  if (Object.keys(description).length === 0) return model;
  const { architecture, ...options } = model.options;
  const checked = checkNetworkOptions(architecture, { ...options, ...description }, where);
  return emptyNetwork(checked, model.form, networkCoreOf(model, where).definition.store.values).eval();
}
