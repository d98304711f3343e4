import { mismatch } from '../errors';
import { checkFinite } from '../finite';
import { type FloatLayer, floatLayer } from '../integer/layers';
import { coreOf } from '../nn/core';
import type { Module } from '../nn/module';
import { chainOf } from '../nn/networks/chain';
import { NetworkBlueprint } from '../nn/networks/network-blueprint';
import type { CheckedNetworkOptions } from '../nn/networks/network-options';
import { RepCore } from '../nn/rep-core';
import { isArray } from '../options';
import type { Preprocessing } from '../preprocessing';

/** A model that is to be quantised: copies of its tensors, layer by layer. */
export interface FloatModel {
  readonly layers: readonly FloatLayer[];
  readonly inChannels: number;
  readonly flat: boolean;
  readonly preprocessing: Preprocessing | undefined;
  readonly network: CheckedNetworkOptions | undefined;
}

/**
 * Copies a module, or modules that compute one after the other.
 *
 * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for a module that is not in deploy form, and for modules that do not fit
 * each other; ERR_NON_FINITE naming a tensor; ERR_INVALID_ARG.
 */
export function readFloatModel(model: Module | readonly Module[], where: string): FloatModel {
  if (!isArray(model, where)) return readModule(model as Module, where, '');
  if (model.length === 0) throw mismatch('ERR_INVALID_ARG', `${where}, model`, 'at least one module', 'none');
  const parts = model.map((module: Module, i) => readModule(module, `${where}, model[${i}]`, `${i}.`));
  parts.forEach(({ inChannels }, i) => {
    const before = parts[i - 1];
    const outChannels = before?.layers.findLast((layer) => layer.kind === 'conv')?.outChannels;
    if (i === 0 || (outChannels === inChannels && !before?.flat)) return;
    const expected = `a module for the ${outChannels} channels of the one before it`;
    throw mismatch('ERR_MODEL_INCOMPATIBLE', `${where}, model[${i}]`, expected, `one for ${inChannels}`);
  });
  const [first] = parts as [FloatModel];
  return {
    layers: parts.flatMap(({ layers }) => layers),
    inChannels: first.inChannels,
    flat: parts.at(-1)?.flat === true,
    preprocessing: first.preprocessing,
    network: undefined,
  };
}

function readModule(module: Module, where: string, prefix: string): FloatModel {
  const core = coreOf(module, where);
  const { ops, store, inChannels, preprocessing, flat = false } = core.definition;
  store.checkAttached(where);
  const steps = chainOf(ops, store.slots, where, prefix);
  const read = (name: string): Float32Array | undefined => {
    if (!store.has(name)) return undefined;
    const values = store.view(name);
    checkFinite(values, `${where}, ${name}`);
    return values;
  };
  const layers = steps.map((step) => floatLayer(step, read));
  const isNetwork = core instanceof RepCore && core.blueprint instanceof NetworkBlueprint;
  const network = isNetwork ? (core.blueprint as NetworkBlueprint).options : undefined;
  return { layers, inChannels, flat, preprocessing, network };
}
