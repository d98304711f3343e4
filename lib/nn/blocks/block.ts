import { boundary, mismatch } from '../../errors';
import { type Field, oneOf } from '../../options';
import { Random } from '../../random';
import { coreOf } from '../core';
import { type Blueprint, RepCore } from '../rep-core';
import { RepModule, repCoreOf } from '../rep-module';
import { formTraits, type Traits, traitsFrom } from '../state/traits';
import { Conv2d } from './conv2d';
import { fuse } from './fuse';
import { initialize } from './initialize';
import { isRepVGG, type Kind, optionsFor } from './kinds';
import type { BlockLayer } from './layers';
import { type BlockOptions, type CheckedBlockOptions, checkBlockOptions } from './options';
import { type Form, structureOf } from './structure';
import { repVGGVariants, type Variant, variants } from './variants';

class BlockBlueprint implements Blueprint {
  readonly name: string;
  readonly options: CheckedBlockOptions;

  constructor(name: string, options: CheckedBlockOptions) {
    this.name = name;
    this.options = options;
  }

  get inChannels(): number {
    return this.options.inChannels;
  }

  get kind(): CheckedBlockOptions {
    return this.options;
  }

  ofKind(kind: Kind): { blueprint: BlockBlueprint; call: string } {
    const name = isRepVGG(kind) ? 'RepVGGBlock' : 'QARepVGGBlock';
    const more = optionsFor(kind);
    return {
      blueprint: new BlockBlueprint(name, { ...this.options, ...kind }),
      call: `new ${name}({ ...${more && `, ${more}`} })`,
    };
  }

  layers(form: Form): [BlockLayer] {
    return [{ kind: 'block', name: 'conv', block: structureOf(this.options, form) }];
  }

  summary(form: Form): string {
    const { inChannels, outChannels, stride, variant } = this.options;
    return `${this.name}(${inChannels} -> ${outChannels}, stride ${stride}, ${variant}, ${form} form)`;
  }

  traits(form: Form): Traits {
    const { stride, dilation, activation } = this.options;
    return traitsFrom({ stride, dilation, activation, ...formTraits(form, this.options) });
  }
}

function blueprintOf(block: unknown): BlockBlueprint {
  const { name, blueprint } = repCoreOf(block);
  if (blueprint instanceof BlockBlueprint) return blueprint;
  throw mismatch('ERR_INVALID_ARG', 'a block', `a ${name}`);
}

/** What {@link QARepVGGBlock} and {@link RepVGGBlock} have in common. */
export abstract class RepBlock<V extends Variant = Variant> extends RepModule {
  /** @internal */
  protected constructor(name: string, variant: Field<V>, options: unknown) {
    const core = boundary(
      name,
      () => new RepCore(new BlockBlueprint(name, checkBlockOptions(variant, options)), 'train'),
    );
    initialize(core.layers, core.definition.store, new Random(core.blueprint.options.seed));
    super(core);
  }

  /** The options that the block was made with, defaults filled in. Another block can be made from them. */
  get options(): CheckedBlockOptions<V> {
    return boundary('RepBlock.options', () => blueprintOf(this)).options as CheckedBlockOptions<V>;
  }

  /**
   * Returns one 3x3 convolution with bias that computes what this block computes in eval mode, its activation included. The
   * block itself does not change. It may be in training mode: the running statistics are what is folded in.
   *
   * Formula: K = s3 W3 + alpha pad(W1) + I, b = beta3 - s3 mean3 + alpha b1; after the post batch norm K' = s K,
   * b' = beta + s (b - mean), where s = gamma / sqrt(var + eps). Computed in double, rounded once.
   *
   * @returns A new convolution in eval mode.
   * @throws {QARepVGGError} ERR_NON_FINITE naming the tensors at fault.
   *
   * @example
   * const conv = block.eval().fuse();
   * console.log(verify(block, conv).whole.relativeL2); // about 1e-7
   */
  fuse(): Conv2d {
    return this.reparameterize();
  }

  /** Same as {@link RepBlock.fuse}; the name that papers use. */
  reparameterize(): Conv2d {
    const { options } = boundary('RepBlock.reparameterize', () => blueprintOf(this));
    const { name, form, definition } = boundary('RepBlock.reparameterize', () => repCoreOf(this));
    const { inChannels, outChannels, stride, dilation, groups, activation } = options;
    const conv = new Conv2d({
      inChannels,
      outChannels,
      stride,
      dilation,
      padding: dilation,
      groups,
      activation,
    }).eval();
    const { store } = coreOf(conv).definition;
    const into = { weight: store.view('weight'), bias: store.view('bias') };
    boundary(`${name}.reparameterize`, () => fuse(structureOf(options, form), definition.store, true, into));
    return conv;
  }
}

/**
 * The block of QARepVGG (arXiv 2212.01593): y = relu(BN(BN(conv3x3(x)) + conv1x1(x) + x)).
 *
 * @example
 * const block = new QARepVGGBlock({ inChannels: 64, outChannels: 64, seed: 1 });
 * const y = block.forward(x);                  // training mode: batch statistics
 * block.backward(gradOfLoss);                  // gradients are in block.parameters()
 * block.eval().switchToDeploy();               // now one 3x3 convolution
 */
export class QARepVGGBlock extends RepBlock {
  /** @throws {QARepVGGError} ERR_INVALID_ARG naming the option; ERR_LIMIT, ERR_OUT_OF_MEMORY */
  constructor(options: BlockOptions) {
    super('QARepVGGBlock', oneOf(variants, 'S4'), options);
  }
}

/**
 * The block of RepVGG (arXiv 2101.03697), the baseline: y = relu(BN(conv3x3(x)) + BN(conv1x1(x)) + BN(x)).
 *
 * @example
 * const block = new RepVGGBlock({ inChannels: 3, outChannels: 48, stride: 2 });
 */
export class RepVGGBlock extends RepBlock<'S0' | 'S1'> {
  /** @throws {QARepVGGError} ERR_INVALID_ARG naming the option; ERR_LIMIT, ERR_OUT_OF_MEMORY */
  constructor(options: BlockOptions<'S0' | 'S1'>) {
    super('RepVGGBlock', oneOf(repVGGVariants, 'S1'), options);
  }
}
