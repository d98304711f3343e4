import { sizeOf } from '../../graph/graph';
import { convMacs } from '../../graph/ops/conv';
import type { Size } from '../../image-size';
import { weightDims } from '../blocks/branches';
import { type Layer, layerSlots } from '../blocks/layers';
import type { NetworkBlueprint } from './network-blueprint';

/** Sizes of a layer: a block, or the classifier. */
export interface LayerSummary {
  /** "stage1.0" */
  readonly name: string;
  /** Dims of the output for one image: [c, h, w]; for the classifier [classes]. */
  readonly output: readonly number[];
  readonly stride: number;
  readonly groups: number;
  /** Trained numbers in train form. */
  readonly parameters: number;
  /** Trained numbers in deploy form. */
  readonly deployParameters: number;
  /** Multiplications of convolutions and linear layers for one image in train form, without squeeze-and-excitation. */
  readonly macs: number;
  /** The same in deploy form. */
  readonly deployMacs: number;
}

/** Sizes of a network for one image of its `inputSize`, in both forms, whichever it is in. */
export interface NetworkSummary extends Pick<LayerSummary, 'parameters' | 'deployParameters' | 'macs' | 'deployMacs'> {
  readonly layers: readonly LayerSummary[];
}

export function summarise(blueprint: NetworkBlueprint): NetworkSummary {
  const deploy = blueprint.layers('deploy');
  let size = blueprint.inputSize;
  const layers = blueprint.layers('train').map((layer, i): LayerSummary => {
    size = outputSize(layer, size);
    const fused = deploy[i] as Layer;
    const output = layer.kind === 'block' ? [layer.block.outChannels, ...size] : [layer.classes];
    return {
      name: layer.name,
      output,
      stride: layer.kind === 'block' ? layer.block.stride : 1,
      groups: layer.kind === 'block' ? layer.block.groups : 1,
      parameters: parametersOf(layer),
      deployParameters: parametersOf(fused),
      macs: macsOf(layer, output),
      deployMacs: macsOf(fused, output),
    };
  });
  const total = (key: 'parameters' | 'deployParameters' | 'macs' | 'deployMacs'): number =>
    layers.reduce((sum, layer) => sum + layer[key], 0);
  return {
    parameters: total('parameters'),
    deployParameters: total('deployParameters'),
    macs: total('macs'),
    deployMacs: total('deployMacs'),
    layers,
  };
}

/** Every kernel of a block outputs as many pixels as a 1x1. */
function outputSize(layer: Layer, [height, width]: Size): Size {
  if (layer.kind === 'classifier') return [1, 1];
  const { stride } = layer.block;
  return [Math.ceil(height / stride), Math.ceil(width / stride)];
}

function parametersOf(layer: Layer): number {
  const trained = layerSlots([layer]).filter(({ kind }) => kind === 'parameter');
  return trained.reduce((sum, { dims }) => sum + sizeOf(dims), 0);
}

function macsOf(layer: Layer, output: readonly number[]): number {
  if (layer.kind === 'classifier') return convMacs(output, [layer.classes, layer.features]);
  const { block } = layer;
  return block.branches.reduce(
    (sum, branch) => sum + (branch.kind === 'conv' ? convMacs(output, weightDims(block, branch.kernel)) : 0),
    0,
  );
}
