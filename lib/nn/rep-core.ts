import type { Size } from '../image-size';
import type { Preprocessing } from '../preprocessing';
import { checkSane, fuse } from './blocks/fuse';
import { type Kind, kinds, lacksIdentity, sameNames } from './blocks/kinds';
import { inChannelsOf, type Layer, layerGraph, layerSlots } from './blocks/layers';
import { type Form, type FusedBranch, formsOf } from './blocks/structure';
import { type Definition, ModuleCore } from './core';
import { findFit, type Naming, type OtherKind } from './state/fit';
import { type Layout, layoutsOf } from './state/layouts';
import { Store } from './state/state';
import type { Traits } from './state/traits';

/** What a module that can be re-parameterised is, in each of its forms. */
export interface Blueprint {
  /** Name of its class, for messages. */
  readonly name: string;
  readonly inChannels: number;
  readonly inputSize?: Size;
  readonly preprocessing?: Preprocessing;
  readonly labels?: readonly string[] | undefined;
  /** The kind of every block. */
  readonly kind: Kind;
  /** The same with blocks of another kind, and the code that makes one. */
  ofKind(kind: Kind): { readonly blueprint: Blueprint; readonly call: string };
  layers(form: Form): readonly Layer[];
  summary(form: Form): string;
  traits(form: Form): Traits;
}

/** The core of a module whose branches fold into single convolutions: a block, or a network of blocks. */
export class RepCore<B extends Blueprint = Blueprint> extends ModuleCore {
  readonly blueprint: B;
  #form: Form;
  #layers: readonly Layer[];

  /** Tensors are zero, or lie in `values`; see {@link Store}. @throws {QARepVGGError} ERR_LIMIT, ERR_OUT_OF_MEMORY */
  constructor(blueprint: B, form: Form, values?: Float32Array) {
    const layers = blueprint.layers(form);
    super(blueprint.name, define(blueprint, form, layers, values));
    this.blueprint = blueprint;
    this.#form = form;
    this.#layers = layers;
  }

  get form(): Form {
    return this.#form;
  }

  get layers(): readonly Layer[] {
    return this.#layers;
  }

  /**
   * Returns a new core in another form that computes the same in eval mode.
   *
   * @throws {QARepVGGError} ERR_NON_FINITE naming the tensors at fault, including those that fusion only copies.
   */
  fused(form: 'partial' | 'deploy'): RepCore<B> {
    const from = this.definition.store;
    const result = new RepCore(this.blueprint, form);
    const into = result.definition.store;
    const kept = into.slots.filter(({ name }) => from.has(name));
    from.checkAttached();
    checkSane(kept, from);
    for (const { name } of kept) into.view(name).set(from.view(name));
    this.#layers.forEach((layer, i) => {
      const target = result.#layers[i];
      if (layer.kind !== 'block' || target?.kind !== 'block') return;
      const { weight, bias } = target.block.branches[0] as FusedBranch;
      fuse(layer.block, from, form === 'deploy', { weight: into.view(weight), bias: into.view(bias) });
    });
    return result;
  }

  /** Takes over form, tensors and ops of another core with the same blueprint. That core is not used any more. */
  become(other: RepCore<B>): void {
    this.definition = other.definition;
    this.#form = other.#form;
    this.#layers = other.#layers;
  }

  override parts(): readonly ModuleCore[] {
    if (this.#layers.length === 1) return [this];
    return this.#layers.map((layer) => {
      const part = new ModuleCore(layer.name, {
        ...this.definition,
        inChannels: inChannelsOf(layer),
        ...computation([layer]),
      });
      part.training = this.training;
      return part;
    });
  }
}

/** The names of a module's tensors in each of its forms. */
export function namingsOf(blueprint: Blueprint): Naming[] {
  return formsOf(blueprint.kind).map((form) => ({
    form,
    names: layerSlots(blueprint.layers(form)).map(({ name }) => name),
    layouts: layoutsOf(blueprint.kind, form),
  }));
}

/** Finds a module of another kind with tensors of all these names in train form, the form in which kinds differ. */
function otherKind(blueprint: Blueprint, keys: readonly string[], layout: Layout): OtherKind | undefined {
  for (const kind of kinds) {
    const { blueprint: other, call } = blueprint.ofKind(kind);
    const namings = namingsOf(other).filter(({ form }) => form === 'train');
    const fit = findFit(namings, keys, layout, { prefixed: true });
    if (!fit) continue;
    const or = lacksIdentity(kind, blueprint.kind) ? ', or with identity: false' : '';
    return sameNames(kind, blueprint.kind) ? undefined : { ...fit, call: call + or };
  }
  return undefined;
}

function define(blueprint: Blueprint, form: Form, layers: readonly Layer[], values?: Float32Array): Definition {
  const { inChannels, inputSize, preprocessing, labels, kind } = blueprint;
  return {
    summary: blueprint.summary(form),
    inChannels,
    ...(inputSize !== undefined && { inputSize }),
    ...(preprocessing !== undefined && { preprocessing }),
    ...(labels !== undefined && { labels }),
    store: new Store(layerSlots(layers), values),
    ...computation(layers),
    form,
    layouts: layoutsOf(kind, form),
    namings: () => namingsOf(blueprint),
    otherKind: (keys, wanted) => otherKind(blueprint, keys, wanted),
    traits: blueprint.traits(form),
  };
}

/** What layers compute. */
function computation(layers: readonly Layer[]): Pick<Definition, 'graph' | 'flat'> {
  return { graph: () => layerGraph(layers), flat: layers.at(-1)?.kind === 'classifier' };
}
