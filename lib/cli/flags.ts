import { type Command, InvalidArgumentError, Option } from 'commander';
import { didYouMean } from '../did-you-mean';
import { type InputSize, inputSizeOf } from '../image-size';
import { variants } from '../nn/blocks/variants';
import { type ArchitectureName, architectureNames } from '../nn/networks/architectures';

/**
 * Parsers of arguments and options. They check the text alone. The library checks the values, and what it refuses counts as
 * bad usage too: see `isMisuse`.
 */

export function positiveInteger(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('Expected an integer from 1.');
}

/** "224", or "256x192": height and width. */
export function imageSize(text: string): InputSize {
  const sides = text.split('x').map(Number);
  const [height = 0, width = height] = sides;
  if (sides.length <= 2 && [height, width].every((side) => Number.isSafeInteger(side) && side > 0)) {
    return inputSizeOf([height, width]);
  }
  throw new InvalidArgumentError('Expected a side in pixels, such as 224, or HEIGHTxWIDTH, such as 256x192.');
}

/** From 1. */
export function integerUpTo(high: number): (text: string) => number {
  return (text) => {
    const value = positiveInteger(text);
    if (value <= high) return value;
    throw new InvalidArgumentError(`Expected an integer from 1 to ${high}.`);
  };
}

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError('Expected an integer from 0.');
}

/** "65536", "512k", "64M" or "1G": bytes, in powers of 1,024. */
export function byteCount(text: string): number {
  const [, digits = '', unit = ''] = /^(\d+)([kmg]?)$/i.exec(text) ?? [];
  const value = Number(digits) * 1024 ** ' kmg'.indexOf(unit.toLowerCase() || ' ');
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('Expected a number of bytes, such as 65536, 512k, 64M or 1G.');
}

export function finiteNumber(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value)) return value;
  throw new InvalidArgumentError('Expected a number.');
}

/** "0.95" */
export function share(text: string): number {
  const value = finiteNumber(text);
  if (value >= 0 && value <= 1) return value;
  throw new InvalidArgumentError('Expected a number from 0 to 1.');
}

export function numberFromZero(text: string): number {
  const value = finiteNumber(text);
  if (value >= 0) return value;
  throw new InvalidArgumentError('Expected a number from 0.');
}

function architectureName(text: string): ArchitectureName {
  return nameAmong(architectureNames)(text);
}

/** One of some names. */
function nameAmong<T extends string>(names: readonly T[]): (text: string) => T {
  return (text) => {
    if (names.includes(text as T)) return text as T;
    throw new InvalidArgumentError(`Expected one of ${names.join(', ')}${didYouMean(text, names) || '.'}`);
  };
}

/** An option that is one of some names, which the help lists. */
export function choice(flags: string, description: string, names: readonly string[]): Option {
  return new Option(flags, description).choices(names).argParser(nameAmong(names));
}

/** "1,2,3" */
export function numberList(text: string): number[] {
  return text.split(',').map(finiteNumber);
}

/** "a,b,c" */
export function nameList(text: string): string[] {
  return text.split(',');
}

/** Options that describe a network, as in `createModel`. */
export interface NetworkFlags {
  readonly model?: ArchitectureName;
  readonly numClasses?: number;
  readonly inChannels?: number;
  readonly inputSize?: InputSize;
  readonly blocks?: number[];
  readonly channels?: number[];
  readonly strides?: number[];
  readonly variant?: string;
  readonly eps?: number;
  readonly pointwiseBias?: true;
  readonly alpha?: true;
  readonly averageBranch?: true;
  readonly withoutIdentity?: true;
}

/** Options for a file that need not be a model file. */
export interface FileFlags extends NetworkFlags {
  readonly layout?: string;
  readonly key?: string;
  readonly prefix?: string;
}

/** The flag had another name once, which still works. */
function inputSizeOption(name: string): Option {
  const option = new Option(name, 'side of the images in pixels, or HEIGHTxWIDTH').argParser(imageSize);
  option.attributeName = () => 'inputSize';
  return option;
}

/** @param classes Their number without the flag, for the help. */
export function addNetworkFlags(command: Command, model: string, classes: string): Command {
  return command
    .option('--model <name>', model, architectureName)
    .option('--num-classes <n>', `classes (default: ${classes})`, positiveInteger)
    .option('--in-channels <n>', 'channels of the images', positiveInteger)
    .addOption(inputSizeOption('--size <size>'))
    .addOption(inputSizeOption('--input-size <size>').hideHelp())
    .option('--blocks <list>', 'depths of the four stages, such as 2,4,14,1', numberList)
    .option('--channels <list>', 'channels of the stem and the four stages, such as 48,48,96,192,1280', numberList)
    .option('--strides <list>', 'strides of the stem and the four stages, such as 2,2,2,2,2', numberList)
    .addOption(choice('--variant <name>', 'kind of the blocks', variants))
    .option('--eps <number>', 'epsilon of the batch norms', finiteNumber)
    .option('--pointwise-bias', 'the 1x1 convolutions have biases, as in super-gradients')
    .option('--alpha', 'a learned factor scales the 1x1 branch, as in super-gradients')
    .option('--average-branch', "an average pool beside the identity, as in YOLOv6's V2")
    .option('--without-identity', 'blocks do not add their input, as without residual connection in super-gradients');
}

export function addFileFlags(command: Command): Command {
  const layouts = ['official', 'yolov6', 'repvgg', 'seed', 'super-gradients', 'timm'];
  const model = 'name of the network, for a file of tensors alone (.safetensors, .pt, .pth)';
  return addNetworkFlags(command, model, 'as many as the tensors have')
    .addOption(choice('--layout <name>', 'naming scheme of the tensors in such a file', layouts))
    .option(
      '--key <name>',
      'name of the state dict in a PyTorch checkpoint, such as model or ema.module (default: averaged weights first)',
    )
    .option('--prefix <text>', 'prefix of the names in the file, such as encoder.');
}
