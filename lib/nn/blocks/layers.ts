import type { Graph, GraphNode } from '../../graph/graph';
import { graphOf, inputName, namedNode, squareWindow } from '../graph';
import type { SlotSpec } from '../state/state';
import { blockNodes } from './nodes';
import { type BlockStructure, slotsOf } from './structure';

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

/** Channels of the images that a layer reads. */
export function inChannelsOf(layer: Layer): number {
  return layer.kind === 'block' ? layer.block.shape.inChannels : layer.features;
}

/** The graph that computes layers one after the other. It ends in [n, classes, 1, 1] where the last one is a classifier. */
export function layerGraph(layers: readonly Layer[], slots: readonly SlotSpec[] = layerSlots(layers)): Graph {
  const nodes: GraphNode[] = [];
  for (const layer of layers) {
    const input = nodes.at(-1)?.name ?? inputName;
    nodes.push(
      ...(layer.kind === 'block' ? blockNodes(layer.name, layer.block, input) : classifierNodes(layer, input)),
    );
  }
  return graphOf(nodes, inChannelsOf(layers[0] as Layer), slots);
}

/** A linear layer is a 1x1 convolution of one pixel. */
function classifierNodes({ name }: ClassifierLayer, input: string): GraphNode[] {
  const pool = 'pool';
  return [
    namedNode(pool, 'globalAveragePool', [input]),
    namedNode(name, 'conv', [pool, `${name}.weight`, `${name}.bias`], squareWindow({ kernel: 1 })),
  ];
}
