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

/**
 * Nodes and initializers in the making. A node has one output, of the same name. A name in use gets a number:
 * modules that were quantised together may have tensors of the same name.
 */
export class GraphBuilder {
  readonly nodes: Node[] = [];
  readonly initializers: Initializer[] = [];
  readonly #names = new Set<string>();
  /** By the wanted name. */
  readonly #tensors = new Map<string, Initializer[]>();

  /** Appends a node; the name of its result. */
  node(wanted: string, opType: string, inputs: readonly string[], attributes: readonly Attribute[] = []): string {
    const name = this.#unique(wanted);
    this.nodes.push({ inputs, outputs: [name], name, opType, attributes });
    return name;
  }

  /** Adds a tensor, unless it is there already; its name. */
  tensor(wanted: string, dims: readonly number[], dataType: number, data: NodeJS.TypedArray): string {
    const rawData = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const namesakes = this.#tensors.get(wanted) ?? [];
    const same = namesakes.find((one) => isSame(one, { dims, dataType, rawData }));
    if (same) return same.name as string;
    const tensor = { dims, dataType, name: this.#unique(wanted), rawData };
    this.#tensors.set(wanted, [...namesakes, tensor]);
    this.initializers.push(tensor);
    return tensor.name;
  }

  #unique(wanted: string): string {
    let name = wanted;
    for (let i = 2; this.#names.has(name); i++) name = `${wanted}_${i}`;
    this.#names.add(name);
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

  /** Tensors are weight and bias of the two linear layers, in turn. */
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

function isSame(a: Initializer, b: Initializer): boolean {
  const [left, right] = [a.rawData, b.rawData] as [Uint8Array, Uint8Array];
  return a.dataType === b.dataType && `${a.dims}` === `${b.dims}` && Buffer.compare(left, right) === 0;
}

type ConvSizes = Pick<ConvShape, 'kernel' | 'padding' | 'stride' | 'dilation' | 'groups'>;

/** "stage1.0.rbr_reparam." for "stage1.0.rbr_reparam.weight", "" for "weight". */
export function prefixOf(name: string): string {
  return name.slice(0, name.lastIndexOf('.') + 1);
}

export function integer(name: string, int: number): Attribute {
  return { name, int, type: attributeTypes.int };
}

function integers(name: string, ints: readonly number[]): Attribute {
  return { name, ints, type: attributeTypes.ints };
}

/** Images of any size. */
export const pixelDims: readonly Dimension[] = [{ param: 'H' }, { param: 'W' }];
export const outputPixelDims: readonly Dimension[] = [{ param: 'H_out' }, { param: 'W_out' }];

/** Floats [N, channels, ...pixels]. */
export function imagesInfo(name: string, channels: number, pixels: readonly Dimension[]): ValueInfo {
  const dims = [{ param: 'N' }, { value: channels }, ...pixels];
  return { name, type: { tensor: { elementType: float32, shape: { dims } } } };
}
