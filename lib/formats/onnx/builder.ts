import type { ConvShape } from '../../integer/chain';
import {
  type Attribute,
  attributeTypes,
  type Dimension,
  float32,
  type Initializer,
  type Node,
  type ValueInfo,
} from './schema';

/** Nodes and initializers in the making. A node has one output, of the same name. */
export class GraphBuilder {
  readonly nodes: Node[] = [];
  readonly initializers: Initializer[] = [];
  readonly #names = new Set<string>();

  /** Appends a node; the name of its result. */
  node(name: string, opType: string, inputs: readonly string[], attributes: readonly Attribute[] = []): string {
    this.nodes.push({ inputs, outputs: [name], name, opType, attributes });
    return name;
  }

  /** Adds a tensor, if there is none of its name; its name. */
  tensor(name: string, dims: readonly number[], dataType: number, data: NodeJS.TypedArray): string {
    if (this.#names.has(name)) return name;
    this.#names.add(name);
    const { buffer, byteOffset, byteLength } = data;
    this.initializers.push({ dims, dataType, name, rawData: new Uint8Array(buffer, byteOffset, byteLength) });
    return name;
  }

  /** A convolution of [input, weight, perhaps bias], without its ReLU. */
  conv(prefix: string, { kernel, padding, stride, dilation, groups }: ConvSizes, inputs: readonly string[]): string {
    const attributes = [
      integers('dilations', [dilation, dilation]),
      integer('group', groups),
      integers('kernel_shape', [kernel, kernel]),
      integers('pads', [padding, padding, padding, padding]),
      integers('strides', [stride, stride]),
    ];
    return this.node(`${prefix}Conv`, 'Conv', inputs, attributes);
  }

  /** Images of one pixel as a list of their channels. */
  flatten(prefix: string, input: string): string {
    return this.node(`${prefix}Flatten`, 'Flatten', [input], [integer('axis', 1)]);
  }

  /** A linear layer of [input, weight, perhaps bias]. */
  linear(prefix: string, inputs: readonly string[]): string {
    return this.node(`${prefix}Gemm`, 'Gemm', inputs, [integer('transB', 1)]);
  }

  /** Tensors are weight and bias of the two linear layers, one after the other. */
  squeezeExcite(down: string, up: string, input: string, tensors: readonly string[]): string {
    const [downWeight, downBias, upWeight, upBias] = tensors as [string, string, string, string];
    const mean = this.node(`${down}GlobalAveragePool`, 'GlobalAveragePool', [input]);
    const reduced = this.node(`${down}Conv`, 'Conv', [mean, downWeight, downBias]);
    const active = this.relu(down, reduced);
    const expanded = this.node(`${up}Conv`, 'Conv', [active, upWeight, upBias]);
    const gate = this.node(`${up}Sigmoid`, 'Sigmoid', [expanded]);
    return this.node(`${up}Mul`, 'Mul', [input, gate]);
  }

  relu(prefix: string, input: string): string {
    return this.node(`${prefix}Relu`, 'Relu', [input]);
  }

  /** Gives the result of the last node another name. */
  nameOutput(name: string): void {
    const last = this.nodes.at(-1) as Node;
    this.nodes[this.nodes.length - 1] = { ...last, outputs: [name] };
  }
}

type ConvSizes = Pick<ConvShape, 'kernel' | 'padding' | 'stride' | 'dilation' | 'groups'>;

/** "stage1.0.rbr_reparam." for "stage1.0.rbr_reparam.weight", nothing for "weight". */
export function prefixOf(name: string): string {
  return name.slice(0, name.lastIndexOf('.') + 1);
}

export function integer(name: string, int: number): Attribute {
  return { name, int, type: attributeTypes.int };
}

function integers(name: string, ints: readonly number[]): Attribute {
  return { name, ints, type: attributeTypes.ints };
}

/** Pixels of a known size, or of an open one. */
export function pixelDims(size: readonly number[] | undefined, names: readonly string[]): Dimension[] {
  return size ? size.map((value) => ({ value })) : names.map((param) => ({ param }));
}

/** Floats [N, channels, ...pixels]. */
export function imagesInfo(name: string, channels: number, pixels: readonly Dimension[]): ValueInfo {
  const dims = [{ param: 'N' }, { value: channels }, ...pixels];
  return { name, type: { tensor: { elementType: float32, shape: { dims } } } };
}
