import { type Size, sizeOf } from '../../image-size';
import type { Preprocessing } from '../../preprocessing';
import { isRepVGG, type Kind, optionsFor } from '../blocks/kinds';
import type { Layer } from '../blocks/layers';
import { type Form, structureOf } from '../blocks/structure';
import type { Blueprint } from '../rep-core';
import { formTraits, type Traits, traitsFrom } from '../state/traits';
import { type Architecture, architectureOf, groupsOf, ofFamily } from './architectures';
import type { CheckedNetworkOptions } from './network-options';

/** What a network is in each of its forms, without weights. */
export class NetworkBlueprint implements Blueprint {
  readonly name = 'Network';
  readonly options: CheckedNetworkOptions;
  readonly #architecture: Architecture;

  constructor(options: CheckedNetworkOptions) {
    this.options = options;
    this.#architecture = architectureOf(options.architecture);
  }

  get inChannels(): number {
    return this.options.inChannels;
  }

  get inputSize(): Size {
    return sizeOf(this.options.inputSize);
  }

  get preprocessing(): Preprocessing {
    return this.options.preprocessing;
  }

  get labels(): readonly string[] | undefined {
    return this.options.labels;
  }

  get kind(): CheckedNetworkOptions {
    return this.options;
  }

  ofKind(kind: Kind): { blueprint: NetworkBlueprint; call: string } {
    const architecture = ofFamily(this.options.architecture, isRepVGG(kind) ? 'repvgg' : 'qarepvgg');
    const more = optionsFor(kind);
    return {
      blueprint: new NetworkBlueprint({ ...this.options, ...kind, architecture }),
      call: `createModel('${architecture}'${more && `, { ${more} }`})`,
    };
  }

  layers(form: Form): readonly Layer[] {
    const { inChannels, blocks, channels, strides, numClasses } = this.options;
    const { squeezeExcite } = this.#architecture;
    const common = { ...this.options, squeezeExcite, activation: 'relu', dilation: 1 } as const;
    const layers: Layer[] = [];
    let width = inChannels;
    // The stem is a stage of one block, whose name has no number.
    for (const [stage, depth] of [1, ...blocks].entries()) {
      const outChannels = channels[stage] as number;
      for (let i = 0; i < depth; i++) {
        const groups = groupsOf(this.#architecture, layers.length);
        const stride = i === 0 ? (strides[stage] as 1 | 2) : 1;
        const shape = { ...common, inChannels: width, outChannels, stride, groups };
        const name = stage === 0 ? 'stage0' : `stage${stage}.${i}`;
        layers.push({ kind: 'block', name, block: structureOf(shape, form, `${name}.`) });
        width = outChannels;
      }
    }
    return [...layers, { kind: 'classifier', name: 'linear', features: width, classes: numClasses }];
  }

  summary(form: Form): string {
    const { architecture, inChannels, numClasses, variant } = this.options;
    return `Network(${architecture}, ${inChannels} -> ${numClasses}, ${variant}, ${form} form)`;
  }

  traits(form: Form): Traits {
    return traitsFrom({ strides: this.options.strides, ...formTraits(form, this.options) });
  }
}
