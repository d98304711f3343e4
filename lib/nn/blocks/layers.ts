import type { ConvGeometry, Op } from '../../../binding';
import type { SlotSpec, Store } from '../state/state';
import { type BlockStructure, lower, slotsOf } from './branches';

/** A module that can be re-parameterised is a row of layers: blocks, and at the end of a network its classifier. */
export type Layer = BlockLayer | ClassifierLayer;

export interface BlockLayer {
  readonly kind: 'block';
  /** "stage1.0" */
  readonly name: string;
  readonly block: BlockStructure;
}

/** Mean over the pixels, then a linear layer. */
export interface ClassifierLayer {
  readonly kind: 'classifier';
  /** Prefix of its tensors. */
  readonly name: string;
  readonly features: number;
  readonly classes: number;
}

/** The tensors of layers, in the order in which PyTorch lists them. */
export function layerSlots(layers: readonly Layer[]): SlotSpec[] {
  return layers.flatMap((layer) => (layer.kind === 'block' ? slotsOf(layer.block) : classifierSlots(layer)));
}

function classifierSlots({ name, features, classes }: ClassifierLayer): SlotSpec[] {
  return [
    { name: `${name}.weight`, dims: [classes, features], kind: 'parameter' },
    { name: `${name}.bias`, dims: [classes], kind: 'parameter' },
  ];
}

/** The ops that compute layers one after the other, from value 0. */
export function lowerLayers(layers: readonly Layer[], store: Store): Op[] {
  const ops: Op[] = [];
  for (const layer of layers) {
    if (layer.kind === 'block') lower(layer.block, store, ops);
    else lowerClassifier(layer, store, ops);
  }
  return ops;
}

/** A linear layer is a 1x1 convolution of one pixel. */
export function linearGeometry(outChannels: number): ConvGeometry {
  return { outChannels, kernel: 1, stride: 1, padding: 0, dilation: 1, groups: 1 };
}

function lowerClassifier({ name, classes }: ClassifierLayer, store: Store, ops: Op[]): void {
  const pooled = ops.push({ op: 'globalAverage', input: ops.length });
  ops.push({
    op: 'conv',
    input: pooled,
    ...linearGeometry(classes),
    weight: store.slot(`${name}.weight`).offset,
    bias: store.slot(`${name}.bias`).offset,
  });
}
