import { sizeOf, type ValueType } from '../../graph/graph';
import { opOf } from '../../graph/ops';
import { nodeView } from '../../graph/specialize';
import { type Layer, layerGraph, layerSlots } from '../blocks/layers';
import { inputName, outputName } from '../graph';
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
  let image: readonly number[] = [1, blueprint.inChannels, ...blueprint.inputSize];
  const layers = blueprint.layers('train').map((layer, i): LayerSummary => {
    const [train, fused] = [measure(layer, image), measure(deploy[i] as Layer, image)];
    image = train.output;
    const { stride, groups } = layer.kind === 'block' ? layer.block.shape : { stride: 1, groups: 1 };
    return {
      name: layer.name,
      output: image.slice(1, layer.kind === 'block' ? 4 : 2),
      stride,
      groups,
      parameters: train.parameters,
      deployParameters: fused.parameters,
      macs: train.macs,
      deployMacs: fused.macs,
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

/** Sizes of a layer for one image, [1, c, h, w]. */
function measure(layer: Layer, image: readonly number[]) {
  const slots = layerSlots([layer]);
  const { nodes, tensors, values: known } = layerGraph([layer], slots);
  const values = new Map<string, ValueType>([...known, [inputName, { type: 'float32', dims: image }]]);
  let macs = 0;
  for (const node of nodes) {
    const [view, op] = [nodeView(node, values, tensors), opOf(node)];
    values.set(node.outputs[0] as string, op.infer(view)[0] as ValueType);
    macs += op.macs?.(view) ?? 0;
  }
  const trained = slots.filter(({ kind }) => kind === 'parameter');
  return {
    output: values.get(outputName)?.dims as number[],
    parameters: trained.reduce((sum, { dims }) => sum + sizeOf(dims), 0),
    macs,
  };
}
