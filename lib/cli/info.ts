import { didYouMean } from '../did-you-mean';
import { mismatch } from '../errors';
import { countOf } from '../figures';
import { exists, placeOf } from '../formats/files';
import { openModel } from '../formats/open-model';
import { sizeOf } from '../image-size';
import { info, Model, type Network, type Preprocessing, QuantizedModel } from '../index';
import { type ArchitectureName, architectureNames } from '../nn/networks/architectures';
import { networkCoreOf } from '../nn/networks/network';
import { NetworkBlueprint } from '../nn/networks/network-blueprint';
import { type CheckedNetworkOptions, checkNetworkOptions } from '../nn/networks/network-options';
import { summarise } from '../nn/networks/summary';
import type { FileFlags } from './flags';
import type { InfoFlags } from './info-command';
import { printModel } from './info-model';
import { inputFile } from './input';
import { networkOptions, openNetwork, refuseDescription, refuseFlags, tensorFlags } from './network-file';
import { formatTable } from './table';
import { choiceText, type TensorChoice } from './tensor-choice';
import { misuse } from './usage';

/** The `info` command. */
export async function printInfo(
  model: string | undefined,
  { json, dims, quiet: _, ...flags }: FileFlags & InfoFlags,
): Promise<void> {
  if (model === undefined) {
    refuseFlags(flags, Object.keys(flags) as (keyof FileFlags)[], ['a model that it belongs to', 'none']);
    return printMachine(json === true);
  }
  const isFile = !architectureNames.includes(model as ArchitectureName) && flags.model === undefined;
  if (isFile) refuseDescription(flags);
  const opened = isFile ? await openFile(model) : undefined;
  if (opened instanceof Model) return printModel(opened, { ...(dims && { dims }), ...(json && { json }) });
  if (dims !== undefined) throw misuse('--dims', 'an ONNX file of other origin', model);
  if (opened instanceof QuantizedModel) return printQuantized(opened, json === true);
  printNetwork(opened ? describeNetwork(opened) : await describe(model, flags), json === true);
}

async function openFile(path: string): Promise<Network | QuantizedModel | Model> {
  if (path === '-') return openModel(await inputFile(path));
  const place = placeOf(path);
  if (await exists(path)) return openModel(path);
  const expected = `a model file, or an architecture: ${architectureNames.join(', ')}`;
  throw mismatch(
    'ERR_INVALID_ARG',
    place,
    expected,
    `neither, as there is no such file (ENOENT)${didYouMean(path, architectureNames)}`,
  );
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

/** Describes a file of tensors, or an architecture by its name; then no weights are made. */
async function describe(model: string, flags: FileFlags): Promise<Described> {
  if (architectureNames.includes(model as ArchitectureName)) {
    refuseFlags(flags, ['model', ...tensorFlags], ['a file of tensors', `the architecture ${model}`]);
    const options = checkNetworkOptions(model, networkOptions(flags));
    return { blueprint: new NetworkBlueprint(options), form: 'train' };
  }
  const { network, choice } = await openNetwork(await inputFile(model), flags);
  return { ...describeNetwork(network), ...(choice && { choice }) };
}

interface Described {
  readonly blueprint: NetworkBlueprint;
  readonly form: string;
  readonly choice?: TensorChoice;
}

function describeNetwork(network: Network): Described {
  return { blueprint: networkCoreOf(network).blueprint, form: network.form };
}

function printNetwork({ blueprint, form, choice }: Described, json: boolean): void {
  const { options } = blueprint;
  const { layers, ...total } = summarise(blueprint);
  if (json) {
    process.stdout.write(
      `${JSON.stringify({ ...options, form, ...(choice && { tensors: choice }), ...total, layers }, null, 2)}\n`,
    );
    return;
  }
  process.stdout.write(choiceText(choice));
  const facts = factsOf(options, form);
  const row = (name: string, output: string, sizes: Pick<typeof total, keyof typeof total>): string[] => {
    const parameters = [sizes.parameters, sizes.deployParameters].map((value) => value.toLocaleString('en-US'));
    const macs = [sizes.macs, sizes.deployMacs].map((value) => (value / 1e6).toFixed(2));
    return [name, output, ...parameters, ...macs];
  };
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
    ['input', [inChannels, ...sizeOf(inputSize)].join(' x ')],
    ['preprocessing', describePreprocessing(preprocessing)],
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
    [
      'ranges',
      `${method}, ${scheme}, ${perChannel ? 'per channel' : 'per tensor'}, of ${countOf(images, 'image')}${extras}`,
    ],
    ['bits', `${weightBits} weights, ${activationBits} activations; logits ${output ? 'rounded' : 'in float'}`],
  ];
  const row = (name: string, precision: string, { parameters, bytes }: Pick<typeof total, 'parameters' | 'bytes'>) => {
    return [name, precision, parameters.toLocaleString('en-US'), bytes.toLocaleString('en-US')];
  };
  const rows = [...layers.map((layer) => row(layer.name, layer.precision, layer)), row('all', '', total)];
  process.stdout.write(
    `${formatTable(facts, ['left', 'left'])}\n` +
      formatTable([['layer', 'precision', 'parameters', 'bytes'], ...rows], ['left', 'left', 'right', 'right']),
  );
}

function describePreprocessing({ mean, std, crop }: Preprocessing): string {
  const part = crop === undefined ? '' : `; crop ${crop}`;
  return `mean ${mean.join(', ')}; std ${std.join(', ')}${part}`;
}
