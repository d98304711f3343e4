import { mismatch } from '../errors';
import { boolean, type Field, oneOf, parseOptions } from '../options';
import { type BlockStructure, lower, slotsOf } from './branches';
import { Conv2d } from './conv2d';
import { coreOf, type Definition, ModuleCore } from './core';
import { fuse } from './fuse';
import { initialise } from './initialise';
import { Module } from './module';
import { type BlockOptions, type CheckedBlockOptions, checkBlockOptions, type Variant } from './options';
import { Store } from './state';
import { type Form, structureOf } from './structure';

/** Options of {@link RepBlock.switchToDeploy}. */
export interface SwitchToDeployOptions {
  /** Keep the batch norm after the branches, to train on (partial form). @default false */
  readonly keepPostBn?: boolean;
}

/** The core of a module that is a block. */
class BlockCore extends ModuleCore {
  readonly options: CheckedBlockOptions;
  form: Form = 'train';
  structure: BlockStructure;

  constructor(name: string, options: CheckedBlockOptions) {
    const structure = structureOf(options, 'train');
    super(name, define(name, options, 'train', structure));
    this.options = options;
    this.structure = structure;
  }

  /** Takes on another form, all tensors zero. */
  become(form: Form): Store {
    const structure = structureOf(this.options, form);
    const definition = define(this.name, this.options, form, structure);
    // Nothing has changed up to here: the lines above may run out of memory.
    this.structure = structure;
    this.form = form;
    this.definition = definition;
    return definition.store;
  }
}

function define(name: string, options: CheckedBlockOptions, form: Form, structure: BlockStructure): Definition {
  const { inChannels, outChannels, stride, variant } = options;
  const store = new Store(slotsOf(structure), name);
  return {
    summary: `${name}(${inChannels} -> ${outChannels}, stride ${stride}, ${variant}, ${form} form)`,
    inChannels,
    store,
    ops: lower(structure, store),
    layouts: variant === 'S4' ? ['official', 'seed'] : ['official'],
  };
}

function blockCoreOf(block: unknown, where: string): BlockCore {
  const core = coreOf(block, where);
  if (core instanceof BlockCore) return core;
  throw mismatch('ERR_INVALID_ARG', where, 'a block', `a ${core.name}`);
}

/** What {@link QARepVGGBlock} and {@link RepVGGBlock} have in common: branches that fold into one convolution. */
export abstract class RepBlock<V extends Variant = Variant> extends Module {
  /** @internal */
  protected constructor(name: string, variant: Field<V>, options: unknown) {
    const checked = checkBlockOptions(name, variant, options);
    const core = new BlockCore(name, checked);
    initialise(core.structure, core.definition.store, checked.seed);
    super(core);
  }

  /** The options of construction, defaults filled in; another block can be made from them. */
  get options(): CheckedBlockOptions<V> {
    return blockCoreOf(this, 'RepBlock.options').options as CheckedBlockOptions<V>;
  }

  /** What is left of the branches; see {@link Form}. */
  get form(): Form {
    return blockCoreOf(this, 'RepBlock.form').form;
  }

  /**
   * One 3x3 convolution with bias that computes what this block computes in eval mode, its activation included. The
   * block itself does not change. Allowed in training mode: it is the running statistics that are folded in.
   *
   * Formula: K = s3 W3 + alpha pad(W1) + I, b = beta3 - s3 mean3 + alpha b1; after the post batch norm K' = s K,
   * b' = beta + s (b - mean), where s = gamma / sqrt(var + eps). Computed in double, rounded once.
   *
   * @returns A new convolution in eval mode.
   * @throws {QARepVGGError} ERR_NON_FINITE naming the tensors at fault.
   *
   * @example
   * const conv = block.eval().reparameterize();
   * console.log(verifyEquivalence(block, conv).whole.relativeL2); // about 1e-7
   */
  reparameterize(): Conv2d {
    const { structure, definition, name, options } = blockCoreOf(this, 'RepBlock.reparameterize');
    const fused = fuse(structure, definition.store, true, `${name}.reparameterize`);
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
    const { weight, bias } = conv.parameters();
    weight?.data.set(fused.weight);
    bias?.data.set(fused.bias);
    return conv;
  }

  /**
   * Folds the branches into one convolution, in place: train -> deploy, or with `keepPostBn` train -> partial;
   * a partial block can go on to deploy. Repeating a call changes nothing. Ends a pending `backward`; weights move to
   * new memory, so take `parameters()` again.
   *
   * @throws {QARepVGGError} ERR_INVALID_STATE in training mode, and for `keepPostBn` once that batch norm is folded;
   * ERR_INVALID_ARG for `keepPostBn` when the variant has no such batch norm; ERR_NON_FINITE naming the tensors at
   * fault. The block is unchanged after an error.
   */
  switchToDeploy(options: SwitchToDeployOptions = {}): this {
    const core = blockCoreOf(this, 'RepBlock.switchToDeploy');
    const where = `${core.name}.switchToDeploy`;
    const { keepPostBn } = parseOptions(where, { keepPostBn: boolean(false) }, options);
    if (core.training) {
      // Nearly every report of fused networks that differ comes down to this.
      throw mismatch('ERR_INVALID_STATE', where, 'a block in eval mode', 'one in training mode; call eval() first');
    }
    const form = keepPostBn ? 'partial' : 'deploy';
    if (core.form === form) return this;
    if (keepPostBn) checkKeepPostBn(core, where);

    const before = core.definition.store;
    const fused = fuse(core.structure, before, !keepPostBn, where);
    const after = core.become(form);
    for (const { name } of after.slots) if (before.has(name)) after.view(name).set(before.view(name));
    after.view('rbr_reparam.weight').set(fused.weight);
    after.view('rbr_reparam.bias').set(fused.bias);
    return this;
  }
}

function checkKeepPostBn({ options, form }: BlockCore, where: string): void {
  if (options.variant !== 'S4') {
    const expected = 'false for a variant without a batch norm after the sum';
    throw mismatch('ERR_INVALID_ARG', `${where}, option keepPostBn`, expected, `true for ${options.variant}`);
  }
  if (form === 'deploy') {
    throw mismatch('ERR_INVALID_STATE', where, 'a block that still has its batch norm', 'one in deploy form');
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
    super('QARepVGGBlock', oneOf(['S0', 'S1', 'S2', 'S3', 'S4'], 'S4'), options);
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
    super('RepVGGBlock', oneOf(['S0', 'S1'], 'S1'), options);
  }
}
