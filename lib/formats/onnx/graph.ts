import type { ConvOp, SqueezeExciteOp, StateOffset } from '../../../binding';
import { type DeployOp, deployOps } from '../../graph/deploy';
import { inferShapes } from '../../graph/shapes';
import type { Definition } from '../../nn/core';
import type { Slot, Store } from '../../nn/state';
import {
  type Attribute,
  attributeTypes,
  type Dimension,
  float32,
  type Graph,
  type Initializer,
  type Node,
  type ValueInfo,
} from './schema';

/** Names of the graph's input and output. */
export const inputName = 'input';
export const outputName = 'logits';

/** In pixels. */
export type ImageSize = readonly [height: number, width: number];

/**
 * The ONNX graph of a module in deploy form, in operators of opset 13: Conv and Relu; GlobalAveragePool, Flatten and Gemm
 * for a classifier; GlobalAveragePool, Conv, Sigmoid and Mul for squeeze-and-excitation. Tensors have the names of the
 * state dict. The number of images is left open, and their size if none is given.
 *
 * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for a module that is not in deploy form; ERR_SHAPE for a size that is too
 * small.
 */
export function onnxGraph({ ops, store, inChannels }: Definition, size: ImageSize | undefined, where: string): Graph {
  const builder = new Builder(store);
  let value = inputName;
  for (const op of deployOps(ops, where)) value = builder.add(op, value);
  const nodes = builder.nodes;
  const last = nodes.at(-1) as Node;
  nodes[nodes.length - 1] = { ...last, outputs: [outputName] };

  const outputChannels = ops.findLast((op) => op.op === 'conv')?.outChannels ?? inChannels;
  const outputPixels =
    size &&
    inferShapes(ops, [1, inChannels, ...size], false, where)
      .at(-1)
      ?.slice(2);
  const isFlat = last.opType === 'Gemm';
  return {
    nodes,
    name: 'qarepvgg',
    initializers: builder.initializers,
    inputs: [imagesInfo(inputName, inChannels, pixelDims(size, ['H', 'W']))],
    outputs: [imagesInfo(outputName, outputChannels, isFlat ? [] : pixelDims(outputPixels, ['H_out', 'W_out']))],
  };
}

function pixelDims(size: readonly number[] | undefined, names: readonly string[]): Dimension[] {
  return size ? size.map((value) => ({ value })) : names.map((param) => ({ param }));
}

function imagesInfo(name: string, channels: number, pixels: readonly Dimension[]): ValueInfo {
  const dims = [{ param: 'N' }, { value: channels }, ...pixels];
  return { name, type: { tensor: { elementType: float32, shape: { dims } } } };
}

/** Nodes and initializers in the making. A node has one output, of the same name. */
class Builder {
  readonly nodes: Node[] = [];
  readonly initializers: Initializer[] = [];
  readonly #store: Store;
  readonly #slots: ReadonlyMap<StateOffset, Slot>;

  constructor(store: Store) {
    this.#store = store;
    this.#slots = new Map(store.slots.map((slot) => [slot.offset, slot]));
  }

  /** Appends what computes `op`; the name of its result. */
  add(op: DeployOp, input: string): string {
    if (op.op === 'globalAverage') return this.#node('', 'GlobalAveragePool', [input]);
    return op.op === 'conv' ? this.#conv(op, input) : this.#squeezeExcite(op, input);
  }

  #conv(op: ConvOp, input: string): string {
    const weight = this.#slot(op.weight);
    const prefix = prefixOf(weight);
    const tensors = [op.weight, op.bias].flatMap((offset) => (offset === undefined ? [] : [this.#tensor(offset)]));
    if (weight.dims.length === 2) {
      // A linear layer.
      const flat = this.#node(prefix, 'Flatten', [input], [integer('axis', 1)]);
      return this.#relu(op, prefix, this.#node(prefix, 'Gemm', [flat, ...tensors], [integer('transB', 1)]));
    }
    const { kernel, padding, stride, dilation, groups } = op;
    const attributes = [
      integers('dilations', [dilation, dilation]),
      integer('group', groups),
      integers('kernel_shape', [kernel, kernel]),
      integers('pads', [padding, padding, padding, padding]),
      integers('strides', [stride, stride]),
    ];
    return this.#relu(op, prefix, this.#node(prefix, 'Conv', [input, ...tensors], attributes));
  }

  #squeezeExcite(op: SqueezeExciteOp, input: string): string {
    const down = prefixOf(this.#slot(op.downWeight));
    const up = prefixOf(this.#slot(op.upWeight));
    const mean = this.#node(down, 'GlobalAveragePool', [input]);
    const reduced = this.#node(down, 'Conv', [mean, this.#tensor(op.downWeight), this.#tensor(op.downBias)]);
    const active = this.#node(down, 'Relu', [reduced]);
    const expanded = this.#node(up, 'Conv', [active, this.#tensor(op.upWeight), this.#tensor(op.upBias)]);
    const gate = this.#node(up, 'Sigmoid', [expanded]);
    return this.#relu(op, up, this.#node(up, 'Mul', [input, gate]));
  }

  #relu({ relu }: { readonly relu?: boolean }, prefix: string, input: string): string {
    return relu ? this.#node(prefix, 'Relu', [input]) : input;
  }

  #node(prefix: string, opType: string, inputs: readonly string[], attributes: readonly Attribute[] = []): string {
    const name = prefix + opType;
    this.nodes.push({ inputs, outputs: [name], name, opType, attributes });
    return name;
  }

  #tensor(offset: StateOffset): string {
    const { name, dims } = this.#slot(offset);
    const { buffer, byteOffset, byteLength } = this.#store.view(name);
    this.initializers.push({ dims, dataType: float32, name, rawData: new Uint8Array(buffer, byteOffset, byteLength) });
    return name;
  }

  #slot(offset: StateOffset): Slot {
    return this.#slots.get(offset) as Slot;
  }
}

/** "stage1.0.rbr_reparam." for "stage1.0.rbr_reparam.weight", nothing for "weight". */
function prefixOf({ name }: Slot): string {
  return name.slice(0, name.lastIndexOf('.') + 1);
}

function integer(name: string, int: number): Attribute {
  return { name, int, type: attributeTypes.int };
}

function integers(name: string, ints: readonly number[]): Attribute {
  return { name, ints, type: attributeTypes.ints };
}
