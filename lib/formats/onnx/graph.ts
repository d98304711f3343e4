import type { ConvOp, SqueezeExciteOp, StateOffset } from '../../../binding';
import type { Definition } from '../../nn/core';
import { type DeployOp, deployOps, inputName, outputName } from '../../nn/networks/graph';
import type { Slot, Store } from '../../nn/state/state';
import { GraphBuilder, imagesInfo, outputPixelDims, pixelDims, prefixOf } from './builder';
import { float32, type Graph, type Node } from './schema';

/**
 * The ONNX graph of a module in deploy form, in operators of opset 13: Conv and Relu; GlobalAveragePool, Flatten and Gemm
 * for a classifier; GlobalAveragePool, Conv, Sigmoid and Mul for squeeze-and-excitation. Tensors have the names of the
 * state dict. The number of images and their size are left open.
 *
 * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for a module that is not in deploy form.
 */
export function onnxGraph({ ops, store, inChannels }: Definition, where: string): Graph {
  const writer = new OpWriter(store);
  let value = inputName;
  for (const op of deployOps(ops, where)) value = writer.add(op, value);
  const { builder } = writer;
  builder.nameOutput(outputName);
  const outputChannels = ops.findLast((op) => op.op === 'conv')?.outChannels ?? inChannels;
  const isFlat = (builder.nodes.at(-1) as Node).opType === 'Gemm';
  return {
    nodes: builder.nodes,
    name: 'qarepvgg',
    initializers: builder.initializers,
    inputs: [imagesInfo(inputName, inChannels, pixelDims)],
    outputs: [imagesInfo(outputName, outputChannels, isFlat ? [] : outputPixelDims)],
  };
}

/** Ops as nodes, with the tensors of a store. */
class OpWriter {
  readonly builder = new GraphBuilder();
  readonly #store: Store;
  readonly #slots: ReadonlyMap<StateOffset, Slot>;

  constructor(store: Store) {
    this.#store = store;
    this.#slots = new Map(store.slots.map((slot) => [slot.offset, slot]));
  }

  /** Appends what computes `op`; the name of its result. */
  add(op: DeployOp, input: string): string {
    if (op.op === 'globalAverage') return this.builder.node('GlobalAveragePool', 'GlobalAveragePool', [input]);
    return op.op === 'conv' ? this.#conv(op, input) : this.#squeezeExcite(op, input);
  }

  #conv(op: ConvOp, input: string): string {
    const weight = this.#slot(op.weight);
    const prefix = prefixOf(weight.name);
    const tensors = [op.weight, op.bias].flatMap((offset) => (offset === undefined ? [] : [this.#tensor(offset)]));
    const isLinear = weight.dims.length === 2;
    const output = isLinear
      ? this.builder.linear(prefix, [this.builder.flatten(prefix, input), ...tensors])
      : this.builder.conv(prefix, op, [input, ...tensors]);
    return op.relu ? this.builder.relu(prefix, output) : output;
  }

  #squeezeExcite(op: SqueezeExciteOp, input: string): string {
    const [down, up] = [op.downWeight, op.upWeight].map((offset) => prefixOf(this.#slot(offset).name));
    const tensors = [op.downWeight, op.downBias, op.upWeight, op.upBias].map((offset) => this.#tensor(offset));
    const output = this.builder.squeezeExcite(down as string, up as string, input, tensors);
    return op.relu ? this.builder.relu(up as string, output) : output;
  }

  #tensor(offset: StateOffset): string {
    const { name, dims } = this.#slot(offset);
    return this.builder.tensor(name, dims, float32, this.#store.view(name));
  }

  #slot(offset: StateOffset): Slot {
    return this.#slots.get(offset) as Slot;
  }
}
