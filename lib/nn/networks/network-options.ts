import { didYouMean } from '../../did-you-mean';
import { describe, describeList, mismatch, within } from '../../errors';
import { type InputSize, inputSizeOf, sizeField } from '../../image-size';
import { maxChannels } from '../../limits';
import {
  anything,
  boolean,
  checkOption,
  type Field,
  integer,
  number,
  oneOf,
  type Parsed,
  parseOptions,
  positive,
  readForeign,
  seedField,
} from '../../options';
import { defaultPreprocessing, type Preprocessing, readPreprocessing } from '../../preprocessing';
import { checkBranches } from '../blocks/options';
import { repVGGVariants, type Variant, variants } from '../blocks/variants';
import {
  type Architecture,
  type ArchitectureName,
  architectureNames,
  architectureOf,
  isQARepVGG,
} from './architectures';

/** Options of {@link createModel}. */
export interface NetworkOptions {
  /** Outputs of the classifier, 1 to 65536. @default 1000 */
  readonly numClasses?: number;
  /** Channels of the images, 1 to 65536. @default 3 */
  readonly inChannels?: number;
  /** Images that the network is made for: a side in pixels, 1 to 4096, or [height, width]. Others work too. @default 224 */
  readonly inputSize?: InputSize;
  /** Depths of the four stages, 1 to 200 blocks each; the stem is one block more. @default those of the named network */
  readonly blocks?: readonly number[];
  /** Output channels of the stem, then of the four stages. @default those of the named network */
  readonly channels?: readonly number[];
  /** Strides, 1 or 2, of the stem, then of the first block of each stage. @default [2, 2, 2, 2, 2] */
  readonly strides?: readonly number[];
  /** See {@link BlockOptions.variant}. @default 'S4' for qarepvgg, 'S1' for repvgg, which may also be 'S0' */
  readonly variant?: Variant;
  /** See {@link BlockOptions.eps}. @default 1e-5 */
  readonly eps?: number;
  /** See {@link BlockOptions.momentum}. @default 0.1 */
  readonly momentum?: number;
  /** See {@link BlockOptions.identity}. @default true */
  readonly identity?: boolean;
  /** See {@link BlockOptions.pointwiseBias}. @default false */
  readonly pointwiseBias?: boolean;
  /** See {@link BlockOptions.alpha}. @default false */
  readonly alpha?: boolean;
  /** See {@link BlockOptions.averageBranch}. @default false */
  readonly averageBranch?: boolean;
  /** Names of the classes, as many as `numClasses`; kept with the model. */
  readonly labels?: readonly string[];
  /**
   * How the bytes of an image become inputs; kept with the model. `forward` does not apply it: it takes inputs, not bytes.
   * @default that of ImageNet for three channels, otherwise mean 0.5 and std 0.5
   */
  readonly preprocessing?: Preprocessing;
  /** Seed of the initial weights. @default 0 */
  readonly seed?: number;
}

/** Checked options with their defaults filled in. */
export type CheckedNetworkOptions = Readonly<
  { architecture: ArchitectureName } & Required<Omit<NetworkOptions, 'labels'>> & Pick<NetworkOptions, 'labels'>
>;

/** Most blocks in one stage. */
const maxDepth = 200;

const readSize = sizeField(4096);

const inputSizeField: Field<InputSize> = (value = 224) => inputSizeOf(readSize(value));

/** @throws {QARepVGGError} ERR_INVALID_ARG naming the architecture or option. */
export function checkNetworkOptions(name: unknown, options: unknown): CheckedNetworkOptions {
  if (!architectureNames.includes(name as ArchitectureName)) {
    const received = describe(name) + didYouMean(name, architectureNames);
    throw mismatch('ERR_INVALID_ARG', 'name', architectureNames.join(', '), received);
  }
  const architecture = name as ArchitectureName;
  const checked = parseOptions(fieldsOf(architecture), options);
  checkOption('channels', () => checkGroups(checked, architectureOf(architecture)));
  checkBranches(checked);
  const { labels, preprocessing, ...rest } = checked;
  return Object.freeze({
    architecture,
    ...rest,
    ...(labels !== undefined && {
      labels: checkOption('labels', () => checkLabels(labels, checked.numClasses)),
    }),
    preprocessing: checkOption('preprocessing', () =>
      readPreprocessing(
        preprocessing === undefined ? defaultPreprocessing(checked.inChannels) : preprocessing,
        checked.inChannels,
      ),
    ),
  });
}

function fieldsOf(name: ArchitectureName) {
  const { blocks, channels } = architectureOf(name);
  const choices: readonly Variant[] = isQARepVGG(name) ? variants : repVGGVariants;
  return {
    numClasses: integer(1, maxChannels, 1000),
    inChannels: integer(1, maxChannels, 3),
    inputSize: inputSizeField,
    blocks: listOf(integer(1, maxDepth), blocks),
    channels: listOf(integer(1, maxChannels), channels),
    strides: listOf(oneOf([1, 2], 2), [2, 2, 2, 2, 2]),
    variant: oneOf(choices, isQARepVGG(name) ? 'S4' : 'S1'),
    eps: positive(1, 1e-5),
    momentum: number(0, 1, 0.1),
    identity: boolean(true),
    pointwiseBias: boolean(false),
    alpha: boolean(false),
    averageBranch: boolean(false),
    labels: anything,
    preprocessing: anything,
    seed: seedField,
  };
}

export const networkOptionNames = Object.keys(fieldsOf('qarepvgg_a0'));

/** Reads a list with as many entries as `fallback`. */
function listOf<T>(field: Field<T>, fallback: readonly T[]): Field<readonly T[]> {
  return (value) => {
    if (value === undefined) return fallback;
    const list = readForeign(() => (Array.isArray(value) ? [...(value as unknown[])] : undefined));
    if (list?.length !== fallback.length) {
      const received = list ? describeList(list) : describe(value);
      throw mismatch('ERR_INVALID_ARG', `an array of ${fallback.length} numbers`, received);
    }
    return Object.freeze(list.map((entry, i) => within(`[${i}]`, () => field(entry ?? null))));
  };
}

function checkGroups({ channels }: Parsed<{ channels: Field<readonly number[]> }>, { groups }: Architecture) {
  // The stem is never grouped, so its channels do not matter.
  const odd = channels.slice(1).find((count) => count % groups !== 0);
  if (odd === undefined) return;
  throw mismatch('ERR_INVALID_ARG', `multiples of ${groups}, the groups of this architecture`, String(odd));
}

function checkLabels(value: unknown, count: number): readonly string[] {
  const labels = readForeign(() => (Array.isArray(value) ? [...(value as unknown[])] : []));
  if (labels.length === count && labels.every((label) => typeof label === 'string')) {
    return Object.freeze(labels) as readonly string[];
  }
  throw mismatch('ERR_INVALID_ARG', `${count} names, one for each class`, describe(value));
}
