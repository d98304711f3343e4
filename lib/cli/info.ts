import { mismatch } from '../errors';
import { exists, placeOf } from '../formats/files';
import { openModel } from '../formats/open-model';
import { info, type Network, QuantizedModel } from '../index';
import { type ArchitectureName, architectureNames } from '../nn/architectures';
import { networkCoreOf } from '../nn/network';
import { NetworkBlueprint } from '../nn/network-blueprint';
import { type CheckedNetworkOptions, checkNetworkOptions } from '../nn/network-options';
import { summarise } from '../nn/summary';
import type { FileFlags } from './flags';
import { networkOptions, openNetwork, refuseDescription, refuseFlags, tensorFlags } from './network-file';
import { formatTable } from './table';

/** The `info` command. */
export async function printInfo(
  model: string | undefined,
  { json, ...flags }: FileFlags & { json?: true },
): Promise<void> {
  if (model === undefined) {
    refuseFlags(flags, Object.keys(flags) as (keyof FileFlags)[], ['info', 'a model that it belongs to', 'none']);
    return printMachine(json === true);
  }
  const isFile = !architectureNames.includes(model as ArchitectureName) && flags.model === undefined;
  if (isFile) refuseDescription(flags, 'info');
  const opened = isFile ? await openFile(model) : undefined;
  if (opened instanceof QuantizedModel) return printQuantized(opened, json === true);
  const [blueprint, form] = opened
    ? [networkCoreOf(opened, 'info').blueprint, opened.form]
    : await describe(model, flags);
  printNetwork(blueprint, form, json === true);
}

async function openFile(path: string): Promise<Network | QuantizedModel> {
  const place = placeOf(path, 'info');
  if (await exists(path)) return openModel(path, 'info');
  const expected = `a model file, or an architecture: ${architectureNames.join(', ')}`;
  throw mismatch('ERR_INVALID_ARG', place, expected, 'neither (ENOENT: no such file)');
}

function printMachine(json: boolean): void {
  const facts = info();
  if (json) {
    process.stdout.write(`${JSON.stringify(facts, null, 2)}\n`);
    return;
  }
  const rows = [
    ['version', facts.version],
    ['instruction set', `${facts.isa} (available: ${facts.isas.join(', ')})`],
    ['threads', `${facts.threads} (from ${facts.threadsFrom})`],
    ['node', `${process.version} ${process.platform}-${process.arch}`],
  ];
  process.stdout.write(formatTable(rows, ['left', 'left']));
}

/** Of a file of tensors, or of an architecture by its name: then no weights are made. */
async function describe(model: string, flags: FileFlags): Promise<[NetworkBlueprint, string]> {
  if (architectureNames.includes(model as ArchitectureName)) {
    refuseFlags(flags, ['model', ...tensorFlags], ['info', 'a file of tensors', `the architecture ${model}`]);
    return [new NetworkBlueprint(checkNetworkOptions(model, networkOptions(flags), 'info')), 'train'];
  }
  const network = await openNetwork(model, flags, 'info');
  return [networkCoreOf(network, 'info').blueprint, network.form];
}

function printNetwork(blueprint: NetworkBlueprint, form: string, json: boolean): void {
  const { options } = blueprint;
  const { layers, ...total } = summarise(blueprint);
  if (json) {
    process.stdout.write(`${JSON.stringify({ ...options, form, ...total, layers }, null, 2)}\n`);
    return;
  }
  const facts = factsOf(options, form);
  const row = (name: string, output: string, sizes: Pick<typeof total, keyof typeof total>): string[] => [
    ...[name, output],
    ...[sizes.parameters, sizes.deployParameters].map((value) => value.toLocaleString('en-US')),
    ...[sizes.macs, sizes.deployMacs].map((value) => (value / 1e6).toFixed(2)),
  ];
  const head = ['layer', 'output', 'parameters', 'deploy', 'MMAC', 'deploy'];
  const rows = layers.map((layer) => row(layer.name, layer.output.join(' x '), layer));
  process.stdout.write(
    `${formatTable(facts, ['left', 'left'])}\n` +
      formatTable([head, ...rows, row('all', '', total)], ['left', 'left', 'right', 'right', 'right', 'right']),
  );
}

function factsOf(options: CheckedNetworkOptions, form: string): string[][] {
  const { architecture, variant, eps, inChannels, inputSize, numClasses, labels, preprocessing } = options;
  const names = labels ? ` (${labels.slice(0, 10).join(', ')}${labels.length > 10 ? ', ...' : ''})` : '';
  return [
    ['architecture', `${architecture}, variant ${variant}, eps ${eps}`],
    ['form', form],
    ['input', `${inChannels} x ${inputSize} x ${inputSize}`],
    ['preprocessing', `mean ${preprocessing.mean.join(', ')}; std ${preprocessing.std.join(', ')}`],
    ['classes', `${numClasses}${names}`],
  ];
}

function printQuantized(model: QuantizedModel, json: boolean): void {
  const { options, form, recipe, output } = model;
  const { layers, ...total } = model.summary();
  if (json) {
    const result = { ...options, form, recipe, quantizeLogits: output !== undefined, ...total, layers };
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    return;
  }
  const { method, scheme, perChannel, weightBits, activationBits, images, equalize, biasCorrection } = recipe;
  const extras = [equalize ? ', equalised' : '', biasCorrection ? ', biases corrected' : ''].join('');
  const facts = [
    ...factsOf(options, form),
    ['ranges', `${method}, ${scheme}, ${perChannel ? 'per channel' : 'per tensor'}, of ${images} images${extras}`],
    ['bits', `${weightBits} weights, ${activationBits} activations; logits ${output ? 'rounded' : 'in float'}`],
  ];
  const rows = layers.map(({ name, precision, parameters, bytes }) => [
    ...[name, precision, parameters.toLocaleString('en-US'), bytes.toLocaleString('en-US')],
  ]);
  const sum = ['all', '', total.parameters.toLocaleString('en-US'), total.bytes.toLocaleString('en-US')];
  process.stdout.write(
    `${formatTable(facts, ['left', 'left'])}\n` +
      formatTable([['layer', 'precision', 'parameters', 'bytes'], ...rows, sum], ['left', 'left', 'right', 'right']),
  );
}
