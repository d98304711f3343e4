import { mismatch, within } from '../errors';
import { openOwnModel } from '../formats/open-model';
import { type FileSource, placeOfSource } from '../formats/sources';
import { readStateFile } from '../formats/state-files';
import { type Network, QuantizedModel } from '../index';
import { emptyNetwork } from '../nn/networks/network';
import { NetworkBlueprint } from '../nn/networks/network-blueprint';
import { type CheckedNetworkOptions, checkNetworkOptions } from '../nn/networks/network-options';
import { namingsOf } from '../nn/rep-core';
import { type Fit, findFit, type Naming } from '../nn/state/fit';
import { type Layout, nameIn } from '../nn/state/layouts';
import { isAveraged } from '../nn/state/prefixes';
import type { FileFlags, NetworkFlags } from './flags';
import { formatIn } from './input';
import { describeChoice, type TensorChoice } from './tensor-choice';
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

/** Flags that say how to read a file of nothing but tensors. */
export const tensorFlags = ['layout', 'key', 'prefix'] as const;

/** The flags that are options of `createModel`. */
export function networkOptions(flags: NetworkFlags): Record<string, unknown> {
  const given = networkFlags.flatMap((name) => (flags[name] === undefined ? [] : [[name, flags[name]]]));
  return { ...Object.fromEntries(given), ...(flags.withoutIdentity && { identity: false }) };
}

/** Refuses flags that would silently be ignored. @throws {QARepVGGError} ERR_INVALID_ARG */
export function refuseFlags(
  flags: FileFlags,
  names: readonly (keyof FileFlags)[],
  [expected, received]: readonly [expected: string, received: string],
): void {
  const given = names.find((name) => flags[name] !== undefined);
  if (given === undefined) return;
  const flag =
    given === 'inputSize' ? '--size' : `--${given.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  throw misuse(flag, expected, received);
}

/** For a model file, which describes its own network. @throws {QARepVGGError} ERR_INVALID_ARG for flags that describe one. */
export function refuseDescription(flags: FileFlags): void {
  const reason = ['a file of tensors with --model, as a model file describes its own network', 'no --model'] as const;
  refuseFlags(flags, [...networkFlags, 'withoutIdentity', ...tensorFlags], reason);
}

/** A network; for a file of tensors, also which of them were taken. */
export interface OpenedNetwork {
  readonly network: Network;
  readonly choice?: TensorChoice;
}

/**
 * Opens the file of a network in float; or, with the flag `model`, a file of nothing but tensors, as the network that the flags
 * describe, in the form that the tensors have.
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG for flags that need `model`
 * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for tensors of another network or with names of another layout.
 */
export async function openNetwork(path: FileSource, flags: FileFlags): Promise<OpenedNetwork> {
  if (flags.model === undefined) {
    refuseDescription(flags);
    const model = await openOwnModel(path);
    return { network: within(placeOfSource(path), () => inFloat(model)) };
  }
  if ((await formatIn(path)) === 'ONNX') {
    const received = 'an ONNX file, which describes its own network; leave out --model';
    throw mismatch('ERR_MODEL_FORMAT', placeOfSource(path), 'a file of tensors with --model', received);
  }
  const layout = (flags.layout ?? 'official') as Layout;
  const found = await readStateFile(path, flags.key === undefined ? {} : { key: flags.key });
  const { tensors } = found;
  const keys = Object.keys(tensors);
  const described = networkOptions(flags);
  const fit = findStem(checkNetworkOptions(flags.model, described), keys, layout, flags.prefix);
  const numClasses = tensors[(fit?.prefix ?? '') + nameIn(layout, 'linear.weight')]?.dims[0];
  const given = { ...(numClasses !== undefined && { numClasses }), ...described };
  const options = checkNetworkOptions(flags.model, given);
  if (fit && fit.layout !== layout) {
    const received = `those of --layout ${fit.layout}`;
    throw mismatch('ERR_MODEL_INCOMPATIBLE', placeOfSource(path), `the names of --layout ${layout}`, received);
  }
  const network = emptyNetwork(options, fit?.form ?? 'train').eval();
  const prefix = flags.prefix ?? averagedAmong(fit);
  const loaded = network.loadStateDict(tensors, { layout, ...(prefix !== undefined && { prefix }) });
  return { network, choice: describeChoice(found, loaded.prefix ?? '', fit?.prefixes ?? []) };
}

/** How the names fit the first block, and their prefix. */
function findStem(
  options: CheckedNetworkOptions,
  keys: readonly string[],
  layout: Layout,
  prefix: string | undefined,
): Fit | undefined {
  const namings = stemNamings(options);
  if (prefix === undefined) {
    return findFit(namings, keys, layout) ?? findFit(namings, keys, layout, { prefixed: true });
  }
  const inside = keys.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
  const fit = findFit(namings, inside, layout);
  return fit && { ...fit, prefix };
}

/** The prefix of averaged weights beside others in one state dict. */
function averagedAmong(fit: Fit | undefined): string | undefined {
  return fit && fit.prefixes.length > 1 && isAveraged(fit.prefix) ? fit.prefix : undefined;
}

/** The first block shows the naming of a file, even where its depths differ from the flags. */
function stemNamings(options: CheckedNetworkOptions): Naming[] {
  const isOfStem = (name: string): boolean => name.startsWith('stage0.');
  return namingsOf(new NetworkBlueprint(options)).map(({ names, ...rest }) => ({
    ...rest,
    names: names.filter(isOfStem),
  }));
}

/** @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for a quantised network. */
export function inFloat(model: Network | QuantizedModel): Network {
  if (!(model instanceof QuantizedModel)) return model;
  throw mismatch(
    'ERR_MODEL_INCOMPATIBLE',
    'a network in float',
    'a quantised one; name the file that it was made from (verify: the quantised one follows --deploy)',
  );
}
