import { boundary, mismatch } from '../../errors';
import type { Preprocessing } from '../../preprocessing';
import { Random } from '../../random';
import { initialize } from '../blocks/initialize';
import type { Form } from '../blocks/structure';
import { RepCore } from '../rep-core';
import { RepModule, repCoreOf } from '../rep-module';
import type { ArchitectureName } from './architectures';
import { NetworkBlueprint } from './network-blueprint';
import { type CheckedNetworkOptions, checkNetworkOptions, type NetworkOptions } from './network-options';
import { type NetworkSummary, summarise } from './summary';

/** The core of a network. @throws {QARepVGGError} ERR_INVALID_ARG for any other object. */
export function networkCoreOf(network: unknown): RepCore<NetworkBlueprint> {
  const core = repCoreOf(network);
  if (core.blueprint instanceof NetworkBlueprint) return core as RepCore<NetworkBlueprint>;
  throw mismatch('ERR_INVALID_ARG', 'a network made by createModel or loadModel', `a ${core.name}`);
}

/** A classifier of images, made by {@link createModel}. Its outputs are logits [n, numClasses]. */
export class Network extends RepModule {
  /** @internal */
  constructor(core: RepCore<NetworkBlueprint>) {
    super(core);
  }

  /** The options that the network was made with, defaults filled in. Another network can be made from them. */
  get options(): CheckedNetworkOptions {
    return boundary('Network.options', () => networkCoreOf(this)).blueprint.options;
  }

  /** Channels of the images. */
  get inChannels(): number {
    return this.options.inChannels;
  }

  /** Names of the classes, if the network has any. */
  get labels(): readonly string[] | undefined {
    return this.options.labels;
  }

  /** How the bytes of an image become inputs. */
  get preprocessing(): Preprocessing {
    return this.options.preprocessing;
  }

  /**
   * Returns a new network, in deploy form and in eval mode, that computes what this one computes in eval mode. This one does not
   * change. It may be in training mode: the running statistics are what is folded in.
   *
   * @throws {QARepVGGError} ERR_NON_FINITE naming the tensors at fault; ERR_OUT_OF_MEMORY
   *
   * @example
   * const deploy = model.fuse();
   * console.log(verify(model.eval(), deploy).whole.relativeL2); // about 1e-6
   */
  fuse(): Network {
    return this.reparameterize();
  }

  /** Same as {@link Network.fuse}; the name that papers use. */
  reparameterize(): Network {
    return boundary('Network.reparameterize', () => new Network(networkCoreOf(this).fused('deploy')).eval());
  }

  /** Returns parameters and multiplications of the network and of each layer, in train and in deploy form. */
  summary(): NetworkSummary {
    return summarise(boundary('Network.summary', () => networkCoreOf(this)).blueprint);
  }
}

/** Makes a network in the given form. Its tensors are zero, or lie in `values` already. */
export function emptyNetwork(options: CheckedNetworkOptions, form: Form, values?: Float32Array): Network {
  return new Network(new RepCore(new NetworkBlueprint(options), form, values));
}

/**
 * Makes a network of the RepVGG paper (arXiv 2101.03697) with blocks of QARepVGG or RepVGG. Options change its shape. It
 * begins in train form and in training mode.
 *
 * In D2se, squeeze-and-excitation stands between the last batch norm of a block and the ReLU, so that fusing is exact. The
 * authors of RepVGG do the same. The official code of QARepVGG has it before the last batch norm in train form and after the
 * fused convolution in deploy form, which are two different functions. This network computes the second, so judge weights
 * that were trained there in deploy form.
 *
 * @param name Kind of blocks and size: 'qarepvgg_a0', 'repvgg_b1g4', 'qarepvgg_d2se'.
 * @throws {QARepVGGError} ERR_INVALID_ARG naming the option; ERR_LIMIT, ERR_OUT_OF_MEMORY
 *
 * @example
 * const model = createModel('qarepvgg_a0');
 * const small = createModel('qarepvgg_a0', { numClasses: 10, inChannels: 1, inputSize: 28, channels: [16, 16, 32, 64, 128] });
 * const logits = small.eval().forward(randn([8, 1, 28, 28])); // dims [8, 10]
 */
export function createModel(name: ArchitectureName, options: NetworkOptions = {}): Network {
  return boundary('createModel', () => {
    const checked = checkNetworkOptions(name, options);
    const core = new RepCore(new NetworkBlueprint(checked), 'train');
    initialize(core.layers, core.definition.store, new Random(checked.seed));
    return new Network(core);
  });
}
