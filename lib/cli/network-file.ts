import type { SessionSpec } from '../../binding';
import { mismatch } from '../errors';
import { placeOf } from '../formats/files';
import { openModel } from '../formats/open-model';
import { loadStateDict, type Network, QuantizedModel } from '../index';
import { lowerQuantized } from '../integer/lower';
import { type Layout, nameIn } from '../nn/layouts';
import { emptyNetwork, networkCoreOf } from '../nn/network';
import { checkNetworkOptions } from '../nn/network-options';
import type { StateDict } from '../nn/state';
import type { Form } from '../nn/structure';
import type { FileFlags, NetworkFlags } from './flags';

/** What of the flags `createModel` takes as its options. */
export function networkOptions({ model: _, ...flags }: NetworkFlags): Record<string, unknown> {
  const names = ['numClasses', 'inChannels', 'inputSize', 'blocks', 'channels', 'strides', 'variant', 'eps'] as const;
  return Object.fromEntries(names.flatMap((name) => (flags[name] === undefined ? [] : [[name, flags[name]]])));
}

/**
 * Opens the file of a network in float; or, with the flag `model`, a file of nothing but tensors, as the network that the flags describe, in
 * the form that the tensors have.
 */
export async function openNetwork(path: string, flags: FileFlags, where: string): Promise<Network> {
  if (flags.model === undefined) return inFloat(await openModel(path, where), placeOf(path, where));
  const layout = (flags.layout ?? 'official') as Layout;
  const state = await loadStateDict(path, flags.key === undefined ? {} : { key: flags.key });
  const numClasses = state[nameIn(layout, 'linear.weight')]?.dims[0];
  const options = { ...(numClasses !== undefined && { numClasses }), ...networkOptions(flags) };
  const network = emptyNetwork(checkNetworkOptions(flags.model, options, where), formOf(state, layout)).eval();
  network.loadStateDict(state, { layout });
  return network;
}

/** @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for a quantised network. */
function inFloat(model: Network | QuantizedModel, where: string): Network {
  if (!(model instanceof QuantizedModel)) return model;
  throw mismatch(
    'ERR_MODEL_INCOMPATIBLE',
    where,
    'a network in float',
    'a quantised one; name the one that it was made from',
  );
}

/** The ops that a session of the model computes. */
export function opsOf(model: Network | QuantizedModel, where: string): SessionSpec['ops'] {
  return model instanceof QuantizedModel
    ? lowerQuantized(model, where).ops
    : networkCoreOf(model, where).definition.ops;
}

function formOf(state: StateDict, layout: Layout): Form {
  const has = (name: string): boolean => nameIn(layout, `stage0.${name}`) in state;
  if (has('rbr_dense.conv.weight') || !has('rbr_reparam.weight')) return 'train';
  return has('bn.weight') ? 'partial' : 'deploy';
}
