import { type GraphNode, type GraphTensor, sameDims } from '../../graph';
import { opOf, ops } from '../../ops';
import { roundedByte } from '../../ops/quantization';
import { unaryOps } from '../../ops/unary';
import { numbersOf, tensorOf } from '../../tensors';
import type { Integers, Rounding } from './context';
import { type Bytes, maxDepth, type Scale, scaleNamed } from './parameters';

/** A value in floats, each number of which is a function of one byte. */
interface ByteFunction {
  readonly bytes: Bytes;
  /** The number for each of the 256 bytes. */
  readonly values: Float32Array;
}

/** Operators that compute each number only from the numbers at the same place. */
const elementwise: ReadonlySet<string> = new Set([
  ...Object.keys(unaryOps),
  ...['clip', 'add', 'sub', 'mul', 'div', 'pow', 'max', 'min'],
]);

/** Bytes are traced back through at most this many tables in a row. */
const maxOrigins = 8;

type Known = Map<string, ByteFunction | undefined>;

/**
 * Turns elementwise nodes between two conversions into one table of 256 bytes, if each number depends on one byte. Entries are
 * computed in float32, each operation correctly rounded. A conversion from one scale to another is such a table, too.
 */
export const functions: Rounding = (node, to, at, integers) => {
  const exact = arithmetic(node, to, integers);
  if (exact) return integers.table(exact.bytes, exact.table, to, at);
  const found = functionOf(node.outputs[0] as string, integers, new Map());
  if (!found) return undefined;
  const table = Uint8Array.from(found.values, (value) => roundedByte(value, to.scale, to.zeroPoint));
  return integers.table(found.bytes, table, to, at);
};

/** @param known Values that have been visited already: a value may be read many times. */
function functionOf(value: string, integers: Integers, known: Known): ByteFunction | undefined {
  if (!known.has(value)) {
    // What stays known if the chain is too deep.
    known.set(value, undefined);
    if (known.size <= maxDepth) known.set(value, newFunction(value, integers, known));
  }
  return known.get(value);
}

function newFunction(value: string, integers: Integers, known: Known): ByteFunction | undefined {
  const node = integers.rewriter.maker(value);
  if (!node || node.activation) return undefined;
  const { rewriter } = integers;
  if (!elementwise.has(node.op) || !ops[node.op]?.evaluate) {
    const bytes = integers.read(value);
    return bytes && dequantized(bytes);
  }
  const dims = rewriter.dims(value);
  const operands = node.inputs.map((name): ByteFunction | GraphTensor | undefined => {
    if (name === '') return undefined;
    const tensor = rewriter.tensor(name);
    if (tensor) return tensor.data.length === 1 && tensor.dims.length <= dims.length ? tensor : undefined;
    // The same bytes with other dims are broadcast.
    return sameDims(rewriter.dims(name), dims) ? functionOf(name, integers, known) : undefined;
  });
  if (node.inputs.some((name, i) => name !== '' && !operands[i])) return undefined;
  const given = operands.filter((operand): operand is ByteFunction => operand !== undefined && 'bytes' in operand);
  const common = commonBytes(given, integers);
  if (!common) return undefined;
  const view = rewriter.view(node);
  const inputs = operands.map((operand) => {
    if (!operand) return undefined;
    if (!('bytes' in operand)) return { ...operand, dims: [], tensor: { ...operand, dims: [] } };
    const { values } = common[given.indexOf(operand)] as ByteFunction;
    const tensor = tensorOf('float32', [256], values);
    return { ...tensor, tensor };
  });
  const [result] = opOf(node).evaluate?.({ ...view, inputs }) ?? [];
  const isFloat = result?.type === 'float32' && result.data.length === 256;
  return isFloat ? { bytes: (common[0] as ByteFunction).bytes, values: result.data as Float32Array } : undefined;
}

function dequantized(bytes: Bytes): ByteFunction {
  const { scale, zeroPoint } = bytes;
  return { bytes, values: Float32Array.from({ length: 256 }, (_, q) => (q - zeroPoint) * scale) };
}

/** Expresses all functions by the same bytes, if possible: the bytes of a table are a function of the bytes that it reads. */
function commonBytes(all: readonly ByteFunction[], integers: Integers): readonly ByteFunction[] | undefined {
  const [first, ...others] = all.map((one) => origins(one, integers));
  for (const one of first ?? []) {
    const same = others.map((list) => list.find(({ bytes }) => bytes.name === one.bytes.name));
    if (same.every((other) => other !== undefined)) return [one, ...(same as ByteFunction[])];
  }
  return undefined;
}

/** The function, and the same one expressed by the bytes that its bytes were made from. */
function origins(one: ByteFunction, integers: Integers): readonly ByteFunction[] {
  const found = [one];
  for (let last = one; found.length < maxOrigins; found.push(last)) {
    const node = integers.rewriter.maker(last.bytes.name);
    if (node?.op !== 'quantizedTable') break;
    const { values } = last;
    const table = numbersOf(integers.rewriter.tensor(node.inputs[1]) as GraphTensor);
    last = {
      bytes: { name: node.inputs[0] as string, ...scaleNamed('input', node) },
      values: Float32Array.from({ length: 256 }, (_, q) => values[table[q] as number] as number),
    };
  }
  return found;
}

/** An operand of a sum or product of bytes: a function of other bytes, or a constant. */
interface Term extends Scale {
  readonly bytes?: Bytes;
  /** The integer for each of the 256 bytes. */
  readonly integers: Uint8Array;
}

/**
 * A sum or product of two rounded functions of the same bytes, such as SiLU's, or of one and a constant. It has the bits of
 * QLinearAdd and QLinearMul, not those of float arithmetic.
 */
function arithmetic(node: GraphNode, to: Scale, integers: Integers) {
  const compute = arithmetics[node.op];
  const dims = integers.rewriter.dims(node.outputs[0]);
  const terms = compute ? node.inputs.map((name) => termOf(name, dims, integers)) : [];
  if (!compute || terms.length === 0 || terms.includes(undefined)) return undefined;
  const known = terms as Term[];
  const given = known.flatMap(({ bytes, integers: values }) =>
    bytes ? [{ bytes, values: Float32Array.from(values) }] : [],
  );
  const common = commonBytes(given, integers);
  if (!common) return undefined;
  let next = 0;
  // The constant goes second.
  const [a, b] = known
    .map((term) => (term.bytes ? { ...term, integers: (common[next++] as ByteFunction).values } : term))
    .sort((one, other) => Number(!one.bytes) - Number(!other.bytes)) as [Term, Term];
  const value = compute(a, b, to);
  const table = Uint8Array.from({ length: 256 }, (_, q) =>
    roundedByte(value(a.integers[q] as number, b.integers[b.bytes ? q : 0] as number), 1, 0),
  );
  return { bytes: (common[0] as ByteFunction).bytes, table };
}

function termOf(name: string, dims: readonly number[], integers: Integers): Term | undefined {
  const bytes = sameDims(integers.rewriter.dims(name), dims) ? integers.read(name) : undefined;
  if (bytes) return { ...bytes, bytes, integers: Uint8Array.from({ length: 256 }, (_, q) => q) };
  const constant = integers.constant(name);
  return constant?.integers.length === 1 ? constant : undefined;
}

type Arithmetic = (a: Term, b: Term, to: Scale) => (a: number, b: number) => number;

/** The arithmetic of onnxruntime on x86-64, in float32 (mlas/lib/intrinsics/avx2/qladd_avx2.cpp, qlmul.cpp). */
const arithmetics: Readonly<Record<string, Arithmetic>> = {
  add(a, b, to) {
    const [aRatio, bRatio] = [Math.fround(a.scale / to.scale), Math.fround(b.scale / to.scale)];
    const zeros = Math.fround(aRatio * a.zeroPoint + Math.fround(bRatio * b.zeroPoint));
    const fixed = Math.fround(to.zeroPoint - zeros);
    // onnxruntime uses fused multiply-adds: double arithmetic and one rounding compute the same.
    return (x, y) => Math.fround(x * aRatio + Math.fround(y * bRatio + fixed));
  },
  mul(a, b, to) {
    const ratio = Math.fround(Math.fround(a.scale * b.scale) / to.scale);
    return (x, y) => Math.fround((x - a.zeroPoint) * (y - b.zeroPoint) * ratio) + to.zeroPoint;
  },
};
