import { type AttributeValue, type Graph, type GraphNode, sameDims } from '../../graph';
import { roundedByte } from '../../ops/quantization';
import { nodeOf, Rewriter } from '../../rewriter';
import { tensorOf } from '../../tensors';
import { regrid } from './grid';
import { movedRows, movesRows, readRows, sameMap } from './moves';
import { type Bytes, mapDims, maxDepth, named, type Scale, sameScale, scaleNamed, scaleOf } from './parameters';

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
  readonly #rows = new Map<string, Bytes | undefined>();
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
    if (node.op === 'dequantize') return bytesOf(node);
    const found = this.#families.readings[node.op]?.(node, this, value);
    const isGiven = node.op === 'dequantizeLinear' && !this.rewriter.tensor(node.inputs[0]);
    return found ?? (isGiven || movesRows(node, this) ? this.#mapOf(this.rows(value), node) : undefined);
  }

  /** Same as {@link read}, as a tensor that has the dims of the value, which may be any: operators that move bytes read it. */
  rows(value: string): Bytes | undefined {
    if (!this.#rows.has(value))
      this.#rows.set(
        value,
        this.#within(() => {
          const node = this.rewriter.maker(value);
          return node && !node.activation ? readRows(node, this, value) : undefined;
        }),
      );
    return this.#rows.get(value);
  }

  /** Same as {@link read}, as a map with these dims. */
  readAs(value: string, dims: readonly number[], at: GraphNode): Bytes | undefined {
    const source = sameMap(value, dims, this);
    return source === undefined ? this.#mapOf(this.rows(value), at, dims) : this.read(source);
  }

  /** The bytes of {@link rows} as a map. */
  #mapOf(rows: Bytes | undefined, at: GraphNode, dims = rows && mapDims(this.dims(rows))): Bytes | undefined {
    if (!rows || !dims) return undefined;
    const name = this.add(
      at,
      `${at.name}/map`,
      'integerMap',
      [this.reshaped(rows, dims, at).name],
      named('output', rows),
      dims,
    );
    return { ...rows, name };
  }

  /** The same bytes with other dims. */
  reshaped(bytes: Bytes, dims: readonly number[], at: GraphNode): Bytes {
    if (sameDims(this.dims(bytes), dims)) return bytes;
    const name = this.rewriter.compute(at, 'reshape', [bytes.name, this.#shape(dims, at)], { allowzero: 1 });
    return { ...bytes, name };
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
    const scale = node && tensor && scaleOf(node, rewriter);
    if (!scale) return undefined;
    const integers = Uint8Array.from(tensor.data as Int8Array, (byte) => byte + (tensor.type === 'int8' ? 128 : 0));
    return { ...scale, dims: tensor.dims, integers };
  }

  /** Same as {@link tryRound}, as a map with the dims of the value. */
  tryRoundMap(value: string, to: Scale, at: GraphNode): Bytes | undefined {
    const bytes = this.tryRound(value, to, at);
    const dims = this.rewriter.dims(value);
    const isMap = bytes && sameDims(this.dims(bytes), mapDims(dims) ?? []);
    return !bytes || isMap ? bytes : this.#mapOf(this.reshaped(bytes, dims, at), at);
  }

  /**
   * Rounds a value to bytes of this scale, if the node that makes it can compute in integers. The elements of the map are in the
   * order of the value's.
   */
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
    const rounded = roundings[node.op]?.(node, to, at, this);
    return rounded ?? (movesRows(node, this) ? this.#mapOf(this.#roundRows(value, to, at), at) : undefined);
  }

  /** Rounds what is moved, then moves the bytes. */
  #roundRows(value: string, to: Scale, at: GraphNode): Bytes | undefined {
    const node = this.rewriter.maker(value);
    const isFound = node && movesRows(node, this) && this.rewriter.isReadOnce(value);
    if (isFound) return this.#within(() => movedRows(node, value, (name) => this.#roundRows(name, to, at), at, this));
    const bytes = this.tryRound(value, to, at);
    return bytes && this.reshaped(bytes, this.rewriter.dims(value), at);
  }

  /** Same as {@link tryRoundMap}; if the node cannot compute in integers, rounds its floats. */
  round(value: string, to: Scale, at: GraphNode): Bytes {
    return this.tryRoundMap(value, to, at) ?? this.#quantize(value, to, at);
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

  /** Replaces a node by one that outputs the floats that bytes represent, with the node's dims. */
  dequantizeAs(node: GraphNode, bytes: Bytes): void {
    const { rewriter } = this;
    const dims = rewriter.dims(node.outputs[0]);
    const attributes = named('input', bytes);
    if (sameDims(dims, this.dims(bytes))) {
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
    const isUsed = readers.length > 0 || (rewriter.isRead(output) && rewriter.value(output).type === 'uint8');
    if (!to || !isUsed || dims.includes(0)) return;
    const isMap = mapDims(dims) !== undefined;
    // Tensors of three dims stay what they are for readers in floats; others move the bytes themselves.
    const maker = rewriter.maker(value);
    const isMoved = maker !== undefined && dims.length === 3 && movesRows(maker, this);
    const tried = isMap && !isMoved ? this.tryRound(value, to, node) : undefined;
    if (!tried && readers.every(({ scale }) => sameScale(scale, to))) {
      const moved = regrid(value, to, node, this);
      if (moved !== undefined) {
        for (const { reader } of readers) rewriter.replace(reader, nodeOf(reader, 'identity', [moved]));
        if (rewriter.isRead(output)) this.#feed(node, moved);
        else this.removeUnread(output);
        return;
      }
    }
    if (!isMap) return;
    const bytes = tried ?? ((isMoved && this.tryRound(value, to, node)) || this.#quantize(value, to, node));
    for (const { reader, scale } of readers) this.dequantizeAs(reader, this.reinterpret(bytes, scale, node));
    if (!rewriter.isRead(output)) this.removeUnread(output);
    else if (rewriter.value(output).type === 'uint8') {
      rewriter.replace(node, nodeOf(node, 'identity', [this.reshaped(bytes, dims, node).name]));
      this.removeUnread(value);
    } else this.#feed(node, this.#floatsLike(value, bytes, node));
  }

  /** Keeps a conversion whose integers something reads, and feeds it the floats that represent them. */
  #feed(node: GraphNode, floats: string): void {
    this.rewriter.replace(node, { ...node, inputs: [floats, ...node.inputs.slice(1)] });
    this.removeUnread(node.inputs[0] as string);
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
    const image = mapDims(dims) as readonly number[];
    const map =
      dims.length === 4 ? value : rewriter.compute(at, 'reshape', [value, this.#shape(image, at)], { allowzero: 1 });
    const name = this.add(at, `${at.name}/bytes`, 'quantize', [map], named('output', to), image);
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
