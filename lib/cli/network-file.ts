import type { SessionSpec } from '../../binding';
import { mismatch } from '../errors';
import { placeOf } from '../formats/files';
import { openModel } from '../formats/open-model';
import { loadStateDict, type Network, QuantizedModel } from '../index';
import { lowerQuantized } from '../integer/lower';
import { findFit, type Naming } from '../nn/fit';
import { type Layout, nameIn } from '../nn/layouts';
import { emptyNetwork, networkCoreOf } from '../nn/network';
import { NetworkBlueprint } from '../nn/network-blueprint';
import { type CheckedNetworkOptions, checkNetworkOptions } from '../nn/network-options';
import { namingsOf } from '../nn/rep-core';
import type { FileFlags, NetworkFlags } from './flags';
import { misuse } from './usage';

const networkFlags = [
  'numClasses',
  'inChannels',
  'inputSize',
  'blocks',
  'channels',
  'strides',
  'variant',
  'eps',
  'pointwiseBias',
  'alpha',
  'averageBranch',
] as const;

/** Flags that say how a file is to be read that has but tensors. */
export const tensorFlags = ['layout', 'key'] as const;

/** What of the flags `createModel` takes as its options. */
export function networkOptions(flags: NetworkFlags): Record<string, unknown> {
  return Object.fromEntries(networkFlags.flatMap((name) => (flags[name] === undefined ? [] : [[name, flags[name]]])));
}

/** Refuses flags that would be passed over in silence. @throws {UsageError} */
export function refuseFlags(
  flags: FileFlags,
  names: readonly (keyof FileFlags)[],
  [where, expected, received]: readonly [where: string, expected: string, received: string],
): void {
  const given = names.find((name) => flags[name] !== undefined);
  if (given === undefined) return;
  const flag = `--${given.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  throw misuse(`${where}, ${flag}`, expected, received);
}

/** For a model file, which says itself what it is. @throws {UsageError} for flags that describe a network. */
export function refuseDescription(flags: FileFlags, where: string): void {
  const reason = [
    where,
    'a file of tensors, named by --model (a model file says itself what it is)',
    'no --model',
  ] as const;
  refuseFlags(flags, [...networkFlags, ...tensorFlags], reason);
}

/**
 * Opens the file of a network in float; or, with the flag `model`, a file of nothing but tensors, as the network that the flags
 * describe, in the form that the tensors have.
 *
 * @throws {UsageError} for flags that mean nothing without `model`
 * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for tensors of another network or with names of another layout.
 */
export async function openNetwork(path: string, flags: FileFlags, where: string): Promise<Network> {
  if (flags.model === undefined) {
    refuseDescription(flags, where);
    return inFloat(await openModel(path, where), placeOf(path, where));
  }
  const layout = (flags.layout ?? 'official') as Layout;
  const state = await loadStateDict(path, flags.key === undefined ? {} : { key: flags.key });
  const numClasses = state[nameIn(layout, 'linear.weight')]?.dims[0];
  const given = { ...(numClasses !== undefined && { numClasses }), ...networkOptions(flags) };
  const options = checkNetworkOptions(flags.model, given, where);
  const fit = findFit(stemNamings(options), Object.keys(state), layout);
  if (fit && fit.layout !== layout) {
    const received = `those of --layout ${fit.layout}`;
    throw mismatch('ERR_MODEL_INCOMPATIBLE', placeOf(path, where), `the names of --layout ${layout}`, received);
  }
  const network = emptyNetwork(options, fit?.form ?? 'train').eval();
  network.loadStateDict(state, { layout });
  return network;
}

/** The first block shows what a file is, even one of other depths than the flags say. */
function stemNamings(options: CheckedNetworkOptions): Naming[] {
  const isOfStem = (name: string): boolean => name.startsWith('stage0.');
  return namingsOf(new NetworkBlueprint(options)).map(({ names, ...rest }) => ({
    ...rest,
    names: names.filter(isOfStem),
  }));
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
