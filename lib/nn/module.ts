import { inspect } from 'node:util';
import { boundary } from '../errors';
import { anything, boolean, oneOf, optionalText, parseOptions } from '../options';
import type { Tensor, TensorLike } from '../tensor';
import { coreOf, giveCore, isModule, type ModuleCore } from './core';
import { type Layout, nameIn, placeholders } from './state/layouts';
import { type LoadResult, loadInto, readStateDict } from './state/load';
import type { Parameter, StateDict } from './state/state';
import { noteTraits, traitsOf } from './state/traits';

/** Options of {@link Module.forward}. */
export interface ForwardOptions {
  /** Keep what `backward` needs. @default true in training mode, false in eval mode */
  readonly grad?: boolean;
  /**
   * Where the output goes: a tensor of its dims, which may be the input. Saves a server or training loop the cost of new
   * memory.
   * @default a new tensor
   */
  readonly out?: TensorLike;
}

/** Options of {@link Module.backward}. */
export interface BackwardOptions {
  /** Where the gradient of the input goes: a tensor of the input's dims. @default a new tensor */
  readonly out?: TensorLike;
}

/** Options of {@link Module.stateDict}. */
export interface StateDictOptions {
  /** Naming scheme of the keys. @default 'official' */
  readonly layout?: Layout;
}

/** Options of {@link Module.loadStateDict}. */
export interface LoadStateDictOptions extends StateDictOptions {
  /**
   * Refuse missing and unexpected keys, and weights that are known to come from a module with other options that the keys do
   * not show, such as `eps` or `averageBranch`. Wrong shapes are always refused.
   * @default true
   */
  readonly strict?: boolean;
  /**
   * Prefix of the module's names in the state dict, such as `encoder.`; tensors under other names are ignored.
   * @default the prefix that wrappers add to all names (`module.`, `model.`, `backbone.`, `_orig_mod.` and chains of them), if
   * the rest of the names then fits; the result says which
   */
  readonly prefix?: string;
}

/**
 * What blocks, layers and networks have in common. A module begins in training mode, as in PyTorch.
 *
 * Every method throws {@link QARepVGGError}; a method that throws has changed nothing.
 */
export abstract class Module {
  /** @internal */
  protected constructor(core: ModuleCore) {
    giveCore(this, core);
  }

  /** Whether batch norm uses the statistics of the batch and updates the running ones (true), or uses the running ones (false). */
  get training(): boolean {
    return boundary('Module.training', () => coreOf(this)).training;
  }

  /** Switches to training mode, in which a module begins. */
  train(): this {
    boundary('Module.train', () => coreOf(this)).training = true;
    return this;
  }

  /** Switches to eval mode: batch norm then uses the running statistics. */
  eval(): this {
    boundary('Module.eval', () => coreOf(this)).training = false;
    return this;
  }

  /**
   * Computes the module's output for images [n, inChannels, h, w] on the calling thread.
   *
   * In training mode batch norm needs more than one value per channel and updates its running statistics. In eval mode with
   * `grad`, the statistics are constants to the gradient.
   *
   * @throws {QARepVGGError} ERR_SHAPE, ERR_DTYPE, ERR_BUFFER_*, ERR_SIZE_OVERFLOW, ERR_OUT_OF_MEMORY
   */
  forward(x: TensorLike, options?: ForwardOptions): Tensor {
    return method(this, 'forward', (core) => {
      if (options === undefined) return core.forward(x, core.training);
      const { grad, out } = parseOptions({ grad: boolean(core.training), out: anything }, options);
      return core.forward(x, grad, out);
    });
  }

  /**
   * Computes {@link forward} in eval mode off the JavaScript thread. Input and weights are copied before the call returns, so
   * later changes to them do not affect the result.
   *
   * @throws {QARepVGGError} (rejects) the errors of {@link forward}, and ERR_INVALID_STATE in training mode.
   */
  async forwardAsync(x: TensorLike): Promise<Tensor> {
    return method(this, 'forwardAsync', (core) => core.forwardAsync(x));
  }

  /**
   * Back-propagates through the last forward that kept what it needs (`grad`): adds to the gradients of the parameters and
   * returns the gradient of the input. Allowed once per forward. Weights must not be written between the two calls.
   *
   * @param gradOutput Gradient of the loss with respect to the output, with the dims of the output.
   * @throws {QARepVGGError} ERR_INVALID_STATE without such a forward, or after `loadStateDict` or a change of form;
   * ERR_SHAPE, ERR_DTYPE, ERR_BUFFER_*.
   */
  backward(gradOutput: TensorLike, options: BackwardOptions = {}): Tensor {
    return method(this, 'backward', (core) => core.backward(gradOutput, parseOptions({ out: anything }, options).out));
  }

  /** Sets the gradients of all parameters to zero. */
  zeroGrad(): this {
    return method(this, 'zeroGrad', ({ definition }) => {
      definition.store.checkAttached();
      definition.store.gradients.fill(0);
      return this;
    });
  }

  /**
   * Returns the trained tensors by name, with the keys of {@link stateDict}. They are live views that an optimiser can write.
   * After a change of form, call this again.
   */
  parameters(): Record<string, Parameter> {
    return method(this, 'parameters', ({ definition }) => {
      definition.store.checkAttached();
      return definition.store.parameters();
    });
  }

  /**
   * Returns copies of all tensors by name, batch norm statistics included. `num_batches_tracked` has dims [].
   *
   * @throws {QARepVGGError} ERR_INVALID_ARG for a layout that has no names for this module.
   */
  stateDict(options: StateDictOptions = {}): StateDict {
    return method(this, 'stateDict', (core) => {
      const { layout } = parseOptions({ layout: layoutField(core) }, options);
      const { store, traits } = core.definition;
      store.checkAttached();
      const own = Object.entries(store.copy()).map(([name, value]) => [nameIn(layout, name), value] as const);
      const empty = placeholders(layout, store.slots).map(({ name, dims }) => [name, zeros(dims)] as const);
      const stateDict = Object.fromEntries([...own, ...empty]);
      noteTraits(stateDict, traits);
      return stateDict;
    });
  }

  /**
   * Copies all tensors from a state dict; a refused one changes nothing. A `backward` after it needs a new `forward`. Counters
   * of batches (`num_batches_tracked`) may be missing and then start from 0.
   *
   * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE naming missing keys, unexpected keys and wrong shapes;
   * ERR_INVALID_ARG, ERR_SHAPE, ERR_DTYPE, ERR_BUFFER_*.
   *
   * @example
   * block.loadStateDict(seedBlock, { layout: 'seed' });
   */
  loadStateDict(stateDict: Readonly<Record<string, TensorLike>>, options: LoadStateDictOptions = {}): LoadResult {
    return method(this, 'loadStateDict', (core) => {
      const fields = { strict: boolean(true), layout: layoutField(core), prefix: optionalText };
      const { strict, layout, prefix } = parseOptions(fields, options);
      const given = readStateDict(stateDict);
      const { definition } = core;
      definition.store.checkAttached();
      const result = loadInto(definition, given, { layout, strict, prefix, madeWith: traitsOf(stateDict) });
      core.weightsChanged();
      return result;
    });
  }

  /** "QARepVGGBlock(64 -> 64, stride 1, S4, train form)" */
  toString(): string {
    return boundary('Module.toString', () => coreOf(this)).definition.summary;
  }

  /** What `console.log` prints. */
  [inspect.custom](): string {
    return isModule(this) ? `${this}` : `${this.constructor.name} {}`;
  }
}

function zeros(dims: readonly number[]): Tensor {
  return { data: new Float32Array(dims.reduce((product, dim) => product * dim, 1)), dims: [...dims] };
}

function layoutField(core: ModuleCore) {
  return oneOf(core.definition.layouts, 'official');
}

/** The body of a method that has a core; its errors begin with the names of the module's class and of the method. */
function method<T>(module: Module, name: string, body: (core: ModuleCore) => T): T {
  const core = boundary(`Module.${name}`, () => coreOf(module));
  return boundary(`${core.name}.${name}`, () => body(core));
}
