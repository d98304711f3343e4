import type { ProgramNode } from '../../../binding';
import { Nodes } from '../nodes';
import type { SlotSpec, Store } from '../state/state';
import { type BlockStructure, type ConvGeometry, lower, slotsOf, windowAttributes } from './branches';

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

/** The nodes that compute layers one after the other. */
export function lowerLayers(layers: readonly Layer[], store: Store): readonly ProgramNode[] {
  const nodes = new Nodes(store);
  for (const layer of layers) {
    if (layer.kind === 'block') lower(layer.block, nodes);
    else lowerClassifier(layer, nodes);
  }
  return nodes.list;
}

/** A linear layer is a 1x1 convolution of one pixel. */
export function linearGeometry(outChannels: number): ConvGeometry {
  return { outChannels, kernel: 1, stride: 1, padding: 0, dilation: 1, groups: 1 };
}

function lowerClassifier({ name, classes }: ClassifierLayer, nodes: Nodes): void {
  const pooled = nodes.push('globalPool', `${name}.pool`, [nodes.last], { kind: 'average' });
  const inputs = [pooled, nodes.tensor(`${name}.weight`), nodes.tensor(`${name}.bias`)];
  nodes.push('conv', name, inputs, windowAttributes(linearGeometry(classes)));
}
