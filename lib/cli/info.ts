import { info } from '../index';
import { type ArchitectureName, architectureNames } from '../nn/architectures';
import { networkCoreOf } from '../nn/network';
import { NetworkBlueprint } from '../nn/network-blueprint';
import { checkNetworkOptions } from '../nn/network-options';
import { summarise } from '../nn/summary';
import type { FileFlags } from './flags';
import { networkOptions, openNetwork } from './network-file';
import { formatTable } from './table';

/** The `info` command. */
export async function printInfo(
  model: string | undefined,
  { json, ...flags }: FileFlags & { json?: true },
): Promise<void> {
  if (model === undefined) printMachine(json === true);
  else printNetwork(...(await describe(model, flags)), json === true);
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

/** Of a file, or of an architecture by its name: then no weights are made. */
async function describe(model: string, flags: FileFlags): Promise<[NetworkBlueprint, string]> {
  if (architectureNames.includes(model as ArchitectureName)) {
    return [new NetworkBlueprint(checkNetworkOptions(model, networkOptions(flags), 'info')), 'train'];
  }
  const network = await openNetwork(model, flags);
  return [networkCoreOf(network, 'info').blueprint, network.form];
}

function printNetwork(blueprint: NetworkBlueprint, form: string, json: boolean): void {
  const { options } = blueprint;
  const { layers, ...total } = summarise(blueprint);
  if (json) {
    process.stdout.write(`${JSON.stringify({ ...options, form, ...total, layers }, null, 2)}\n`);
    return;
  }
  const { architecture, variant, eps, inChannels, inputSize, numClasses, labels, preprocessing } = options;
  const facts = [
    ['architecture', `${architecture}, variant ${variant}, eps ${eps}`],
    ['form', form],
    ['input', `${inChannels} x ${inputSize} x ${inputSize}`],
    ['preprocessing', `mean ${preprocessing.mean.join(', ')}; std ${preprocessing.std.join(', ')}`],
    [
      'classes',
      `${numClasses}${labels ? ` (${labels.slice(0, 10).join(', ')}${labels.length > 10 ? ', ...' : ''})` : ''}`,
    ],
  ];
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
