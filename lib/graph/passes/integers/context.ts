import { isNormal } from '../../data-types';
import type { AttributeValue, Graph, GraphNode } from '../../graph';
import { roundedByte } from '../../ops/quantization';
import { nodeOf, Rewriter } from '../../rewriter';
import { tensorOf } from '../../tensors';
import { regrid } from './grid';
import { type Bytes, maxDepth, named, type Scale, sameScale, scaleNamed, scaleOf } from './parameters';

/** Computes a node in integers, its output rounded to a scale, with new nodes before `at`. Returns nothing if it cannot. */
export type Rounding = (node: GraphNode, to: Scale, at: GraphNode, integers: Integers) => Bytes | undefined;

/** Returns bytes that represent an output of a node exactly, if bytes represent its inputs. */
export type Reading = (node: GraphNode, integers: Integers, value: string) => Bytes | undefined;

/** The rules of all families of operators, by operator. */
export interface Families {
  readonly clamps: Readonly<Record<string, Rounding>>;
  readonly roundings: Readonly<Record<string, Rounding>>;
  readonly readings: Readonly<Record<string, Reading>>;
  /** For any operator. */
  readonly functions: Rounding;
}

/** A constant that the file holds in integers. */
export interface ConstantBytes extends Scale {
  readonly dims: readonly number[];
  readonly integers: Uint8Array;
}

type Attributes = Readonly<Record<string, AttributeValue | undefined>>;

/** A graph in which some values become bytes. */
export class Integers {
  readonly rewriter: Rewriter;
  readonly #families: Families;
  readonly #read = new Map<string, Bytes | undefined>();
  #depth = 0;

  constructor(graph: Graph, families: Families) {
    this.rewriter = new Rewriter(graph);
    this.#families = families;
  }

  /** Inserts a node before another one; returns the name of its output. */
  add(
    at: GraphNode,
    hint: string,
    op: string,
    inputs: readonly string[],
    attributes: Attributes,
    dims: readonly number[],
    type: 'uint8' | 'float32' = 'uint8',
  ): string {
    return this.rewriter.insert(at, hint, { op, inputs, attributes }, { type, dims });
  }

  dims({ name }: Bytes): readonly number[] {
    return this.rewriter.dims(name);
  }

  /** The bytes that represent a value in floats exactly, if there are any. The pass must have visited the maker of the value. */
  read(value: string): Bytes | undefined {
    if (!this.#read.has(value))
      this.#read.set(
        value,
        this.#within(() => this.#readNew(value)),
      );
    return this.#read.get(value);
  }

  #readNew(value: string): Bytes | undefined {
    const node = this.rewriter.maker(value);
    if (!node || node.activation) return undefined;
    return node.op === 'dequantize' ? bytesOf(node) : this.#families.readings[node.op]?.(node, this, value);
  }

  /** Stops the recursion, with nothing, in chains of operators that are too long for the stack. */
  #within<T>(compute: () => T): T | undefined {
    if (this.#depth >= maxDepth) return undefined;
    this.#depth++;
    try {
      return compute();
    } finally {
      this.#depth--;
    }
  }

  /** A constant in integers with its scale. Signed integers are raised by 128. */
  constant(value: string): ConstantBytes | undefined {
    const { rewriter } = this;
    const node = rewriter.maker(value);
    const tensor = node?.op === 'dequantizeLinear' ? rewriter.tensor(node.inputs[0]) : undefined;
    const parameters = node?.inputs.slice(1).map((name) => rewriter.tensor(name)) ?? [];
    if (!tensor || (tensor.type !== 'uint8' && tensor.type !== 'int8')) return undefined;
    if (parameters.some((parameter) => parameter?.data.length !== 1)) return undefined;
    const offset = tensor.type === 'int8' ? 128 : 0;
    const [scale = 0, zeroPoint = 0] = parameters.map((parameter) => Number(parameter?.data[0]));
    if (!isNormal(scale)) return undefined;
    const integers = Uint8Array.from(tensor.data as Int8Array, (byte) => byte + offset);
    return { scale, zeroPoint: zeroPoint + offset, dims: tensor.dims, integers };
  }

  /** Rounds a value to bytes of this scale, if the node that makes it can compute in integers. */
  tryRound(value: string, to: Scale, at: GraphNode): Bytes | undefined {
    return this.#within(() => this.#roundNew(value, to, at));
  }

  #roundNew(value: string, to: Scale, at: GraphNode): Bytes | undefined {
    const source = this.read(value);
    if (source && sameScale(source, to)) return source;
    const node = this.rewriter.maker(value);
    if (!node || node.activation) return undefined;
    const { clamps, functions, roundings } = this.#families;
    // Clamps come first: rounding is monotonic, so a clamp applies to the rounded bytes.
    const found = clamps[node.op]?.(node, to, at, this) ?? functions(node, to, at, this);
    if (found || !this.rewriter.isReadOnce(value)) return found;
    return roundings[node.op]?.(node, to, at, this);
  }

  /** Same as {@link tryRound}; if the node cannot compute in integers, rounds its floats. */
  round(value: string, to: Scale, at: GraphNode): Bytes {
    return this.tryRound(value, to, at) ?? this.#quantize(value, to, at);
  }

  /** The same integers with another scale. */
  reinterpret(bytes: Bytes, as: Scale, at: GraphNode): Bytes {
    return sameScale(bytes, as)
      ? bytes
      : this.table(
          bytes,
          Uint8Array.from({ length: 256 }, (_, q) => q),
          as,
          at,
        );
  }

  /** Applies a function, given as a table, to each byte. */
  table(bytes: Bytes, table: Uint8Array, to: Scale, at: GraphNode): Bytes {
    const name = this.rewriter.addTensor(`${at.name}/table`, tensorOf('uint8', [256], table));
    const attributes = { ...named('input', bytes), ...named('output', to) };
    const { scale, zeroPoint } = to;
    const inputs = [bytes.name, name];
    return {
      name: this.add(at, `${at.name}/table`, 'quantizedTable', inputs, attributes, this.dims(bytes)),
      scale,
      zeroPoint,
    };
  }

  /** Rounds the numbers that bytes represent to another scale. */
  requantize(bytes: Bytes, to: Scale, at: GraphNode): Bytes {
    if (sameScale(bytes, to)) return bytes;
    const { scale, zeroPoint } = bytes;
    const table = Uint8Array.from({ length: 256 }, (_, q) =>
      roundedByte((q - zeroPoint) * scale, to.scale, to.zeroPoint),
    );
    return this.table(bytes, table, to, at);
  }

  /** Adds a value with the floats that bytes represent. */
  floats(bytes: Bytes, at: GraphNode): string {
    return this.add(
      at,
      `${at.name}/floats`,
      'dequantize',
      [bytes.name],
      named('input', bytes),
      this.dims(bytes),
      'float32',
    );
  }

  /** Rounds floats to a scale and keeps them as floats. */
  roundFloats(value: string, { scale, zeroPoint }: Scale, at: GraphNode): string {
    const { rewriter } = this;
    const parameters = [
      rewriter.addTensor(`${at.name}/scale`, tensorOf('float32', [], [scale])),
      rewriter.addTensor(`${at.name}/zero`, tensorOf('uint8', [], [zeroPoint])),
    ];
    const integers = rewriter.compute(at, 'quantizeLinear', [value, ...parameters]);
    return rewriter.compute(at, 'dequantizeLinear', [integers, ...parameters]);
  }

  /** Replaces a node by one that outputs the floats that bytes represent, with the node's dims: [n, c, h, w] or [n, c]. */
  dequantizeAs(node: GraphNode, bytes: Bytes): void {
    const { rewriter } = this;
    const dims = rewriter.dims(node.outputs[0]);
    const attributes = named('input', bytes);
    if (dims.length === 4) {
      rewriter.replace(node, {
        name: node.name,
        outputs: node.outputs,
        op: 'dequantize',
        inputs: [bytes.name],
        attributes,
      });
      return;
    }
    const map = this.add(node, `${node.name}/map`, 'dequantize', [bytes.name], attributes, this.dims(bytes), 'float32');
    rewriter.replace(node, nodeOf(node, 'reshape', [map, this.#shape(dims, node)], { allowzero: 1 }));
  }

  /** Removes the nodes that make a value which nothing reads any more. */
  removeUnread(value: string): void {
    const left = [value];
    for (let name = left.pop(); name !== undefined; name = left.pop()) {
      const node = name === '' ? undefined : this.rewriter.maker(name);
      if (!node || node.outputs.some((output) => output !== '' && this.rewriter.isRead(output))) continue;
      this.rewriter.remove(node);
      left.push(...node.inputs);
    }
  }

  /** Turns the value that a QuantizeLinear rounds into bytes, and makes its readers read them. */
  convert(node: GraphNode): void {
    const { rewriter } = this;
    const [value = ''] = node.inputs;
    const [output = ''] = node.outputs;
    const to = scaleOf(node, rewriter);
    const dims = rewriter.dims(value);
    const readers = rewriter.readers(output).flatMap((reader) => {
      const scale = reader.op === 'dequantizeLinear' ? scaleOf(reader, rewriter) : undefined;
      return scale ? [{ reader, scale }] : [];
    });
    if (!to || readers.length === 0 || dims.includes(0)) return;
    const isMap = dims.length === 4 || dims.length === 2;
    const tried = isMap ? this.tryRound(value, to, node) : undefined;
    if (!tried && readers.every(({ scale }) => sameScale(scale, to))) {
      const moved = regrid(value, to, node, this);
      if (moved !== undefined) {
        for (const { reader } of readers) rewriter.replace(reader, nodeOf(reader, 'identity', [moved]));
        this.#finish(node, moved);
        return;
      }
    }
    if (!isMap) return;
    const bytes = tried ?? this.#quantize(value, to, node);
    for (const { reader, scale } of readers) this.dequantizeAs(reader, this.reinterpret(bytes, scale, node));
    this.#finish(node, rewriter.isRead(output) ? this.#floatsLike(value, bytes, node) : value);
  }

  /** Removes a conversion. If something reads its integers, keeps it and feeds it the floats that represent them. */
  #finish(node: GraphNode, floats: string): void {
    const [output = ''] = node.outputs;
    if (!this.rewriter.isRead(output)) this.removeUnread(output);
    else {
      this.rewriter.replace(node, { ...node, inputs: [floats, ...node.inputs.slice(1)] });
      this.removeUnread(node.inputs[0] as string);
    }
  }

  #floatsLike(value: string, bytes: Bytes, node: GraphNode): string {
    const { rewriter } = this;
    const floats = rewriter.insert(node, `${node.name}/floats`, { ...node, inputs: [] }, rewriter.value(value));
    this.dequantizeAs(rewriter.maker(floats) as GraphNode, bytes);
    return floats;
  }

  #quantize(value: string, to: Scale, at: GraphNode): Bytes {
    const { rewriter } = this;
    const dims = rewriter.dims(value);
    const mapDims = dims.length === 4 ? dims : [...dims, 1, 1];
    const map =
      dims.length === 4 ? value : rewriter.compute(at, 'reshape', [value, this.#shape(mapDims, at)], { allowzero: 1 });
    const name = this.add(at, `${at.name}/bytes`, 'quantize', [map], named('output', to), mapDims);
    return { name, scale: to.scale, zeroPoint: to.zeroPoint };
  }

  #shape(dims: readonly number[], { name }: GraphNode): string {
    return this.rewriter.addTensor(`${name}/dims`, tensorOf('int64', [dims.length], dims));
  }
}

/** The bytes that a dequantize node reads. */
function bytesOf(node: GraphNode): Bytes {
  return { name: node.inputs[0] as string, ...scaleNamed('input', node) };
}
