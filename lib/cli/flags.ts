import { type Command, InvalidArgumentError, Option } from 'commander';
import { type ArchitectureName, architectureNames } from '../nn/architectures';

/**
 * Parsers of arguments and options. They judge the text alone; what the options of the library may be, it says itself, and
 * that counts as bad usage, too: see `isMisuse`.
 */

export function positiveInteger(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('Expected an integer from 1.');
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

export function architectureName(text: string): ArchitectureName {
  if (architectureNames.includes(text as ArchitectureName)) return text as ArchitectureName;
  throw new InvalidArgumentError(`Expected one of ${architectureNames.join(', ')}.`);
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
  readonly inputSize?: number;
  readonly blocks?: number[];
  readonly channels?: number[];
  readonly strides?: number[];
  readonly variant?: string;
  readonly eps?: number;
  readonly pointwiseBias?: true;
  readonly alpha?: true;
  readonly averageBranch?: true;
}

/** Options for a file that need not be a model file. */
export interface FileFlags extends NetworkFlags {
  readonly layout?: string;
  readonly key?: string;
}

/** @param classes How many there are unless the flag says. */
export function addNetworkFlags(command: Command, model: string, classes: string): Command {
  return command
    .option('--model <name>', model, architectureName)
    .option('--num-classes <n>', `classes (default: ${classes})`, positiveInteger)
    .option('--in-channels <n>', 'channels of the images', positiveInteger)
    .option('--input-size <n>', 'side of the images in pixels', positiveInteger)
    .option('--blocks <list>', 'depths of the four stages, such as 2,4,14,1', numberList)
    .option('--channels <list>', 'channels of the stem and the four stages, such as 48,48,96,192,1280', numberList)
    .option('--strides <list>', 'strides of the stem and the four stages, such as 2,2,2,2,2', numberList)
    .addOption(new Option('--variant <name>', 'kind of the blocks').choices(['S0', 'S1', 'S2', 'S3', 'S4']))
    .option('--eps <number>', 'of the batch norms', finiteNumber)
    .option('--pointwise-bias', 'the 1x1 have biases, as in super-gradients')
    .option('--alpha', 'a number multiplies the 1x1, as in super-gradients')
    .option('--average-branch', "an average pool beside the identity, as in YOLOv6's V2");
}

export function addFileFlags(command: Command): Command {
  const layouts = ['official', 'yolov6', 'repvgg', 'seed', 'super-gradients', 'timm'];
  const model = 'name of the network, for a file that has but tensors (.safetensors, .pt, .pth)';
  return addNetworkFlags(command, model, 'as many as the tensors have')
    .addOption(new Option('--layout <name>', 'naming scheme of the tensors in such a file').choices(layouts))
    .option('--key <name>', 'name of the state dict in a checkpoint of PyTorch');
}
