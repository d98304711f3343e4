import { boundary } from '../../errors';
import { maxChannels, maxHalo } from '../../limits';
import { boolean, integer, oneOf, type Parsed, parseOptions, seedField } from '../../options';
import { Random } from '../../random';
import { type Definition, ModuleCore } from '../core';
import { graphOf, inputName, namedNode, squareWindow } from '../graph';
import { Module } from '../module';
import { allLayouts } from '../state/layouts';
import { type SlotSpec, Store } from '../state/state';
import { traitsFrom } from '../state/traits';
import { checkGroups } from './options';

/** Options of {@link Conv2d}. */
export interface Conv2dOptions {
  /** From 1 to 65536. */
  readonly inChannels: number;
  /** From 1 to 65536. */
  readonly outChannels: number;
  /** Side of the square kernel, in pixels. @default 3 */
  readonly kernelSize?: 1 | 3;
  /** @default 1 */
  readonly stride?: 1 | 2;
  /** Zeros around the image, in pixels, 0 to 256. @default 0 */
  readonly padding?: number;
  /** Distance between the kernel's taps, in pixels, 1 to 256. @default 1 */
  readonly dilation?: number;
  /** Must divide both channel counts. @default 1 */
  readonly groups?: number;
  /** @default true */
  readonly bias?: boolean;
  /** Applied to the output. @default 'none' */
  readonly activation?: 'relu' | 'none';
  /** Seed of the initial weights. @default 0 */
  readonly seed?: number;
}

const fields = {
  inChannels: integer(1, maxChannels),
  outChannels: integer(1, maxChannels),
  kernelSize: oneOf([1, 3], 3),
  stride: oneOf([1, 2], 1),
  padding: integer(0, maxHalo, 0),
  dilation: integer(1, maxHalo, 1),
  groups: integer(1, maxChannels, 1),
  bias: boolean(true),
  activation: oneOf(['relu', 'none'], 'none'),
  seed: seedField,
};

/**
 * A plain convolution: `weight` [outChannels, inChannels / groups, kernelSize, kernelSize] and `bias` [outChannels].
 * Initialised like `torch.nn.Conv2d`: both uniform within 1 / sqrt(fan-in).
 *
 * @example
 * const conv = new Conv2d({ inChannels: 3, outChannels: 8, padding: 1 });
 * const y = conv.forward(randn([1, 3, 32, 32])); // dims [1, 8, 32, 32]
 */
export class Conv2d extends Module {
  /** @throws {QARepVGGError} ERR_INVALID_ARG naming the option; ERR_LIMIT, ERR_OUT_OF_MEMORY */
  constructor(options: Conv2dOptions) {
    const core = boundary('Conv2d', () => {
      const checked = parseOptions(fields, options);
      checkGroups(checked);
      const definition = define(checked);
      initialize(definition.store, checked);
      return new ModuleCore('Conv2d', definition);
    });
    super(core);
  }
}

function define(options: Parsed<typeof fields>): Definition {
  const { inChannels, outChannels, kernelSize, stride, padding, dilation, groups, activation } = options;
  const summary = `Conv2d(${inChannels} -> ${outChannels}, kernel ${kernelSize}, stride ${stride})`;
  const dims = [outChannels, inChannels / groups, kernelSize, kernelSize];
  const slots: SlotSpec[] = [{ name: 'weight', dims, kind: 'parameter' }];
  if (options.bias) slots.push({ name: 'bias', dims: [outChannels], kind: 'parameter' });
  const inputs = [inputName, ...slots.map(({ name }) => name)];
  const attributes = { ...squareWindow({ kernel: kernelSize, stride, padding, dilation }), group: groups };
  return {
    summary,
    inChannels,
    store: new Store(slots),
    graph: () => graphOf([namedNode('conv', 'conv', inputs, attributes, activation)], inChannels, slots),
    layouts: allLayouts,
    namings: () => [{ names: slots.map(({ name }) => name), layouts: allLayouts }],
    traits: traitsFrom({ stride, dilation, padding, activation }),
  };
}

function initialize(store: Store, { inChannels, groups, kernelSize, seed }: Parsed<typeof fields>): void {
  const bound = 1 / Math.sqrt((inChannels / groups) * kernelSize ** 2);
  const random = new Random(seed);
  for (const { name } of store.slots) random.fillUniform(store.view(name), -bound, bound);
}
