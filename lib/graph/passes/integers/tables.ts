import type { GraphNode, GraphTensor } from '../../graph';
import { opOf, ops } from '../../ops';
import { roundedByte } from '../../ops/quantization';
import { unaryOps } from '../../ops/unary';
import { numbersOf, tensorOf } from '../../tensors';
import type { Integers, Rounding } from './context';
import { type Bytes, maxDepth, type Scale, scaleNamed } from './parameters';

/** A value in floats, each number of which depends on one byte alone. */
interface ByteFunction {
  readonly bytes: Bytes;
  /** For each byte. */
  readonly values: Float32Array;
}

/** Operators that compute each number from the numbers at its place. */
const elementwise: ReadonlySet<string> = new Set([
  ...Object.keys(unaryOps),
  ...['clip', 'add', 'sub', 'mul', 'div', 'pow', 'max', 'min'],
]);

/** Tables one behind the other that bytes are followed back through. */
const maxOrigins = 8;

type Known = Map<string, ByteFunction | undefined>;

/**
 * What is computed between conversions, from one byte for each number, as a table of 256 bytes: every operation in float32, each
 * result the nearest one. So are conversions from one scale to another.
 */
export const functions: Rounding = (node, to, at, integers) => {
  const exact = arithmetic(node, to, integers);
  if (exact) return integers.table(exact.bytes, exact.table, to, at);
  const found = functionOf(node.outputs[0] as string, integers, new Map());
  if (!found) return undefined;
  const table = Uint8Array.from(found.values, (value) => roundedByte(value, to.scale, to.zeroPoint));
  return integers.table(found.bytes, table, to, at);
};

/** @param known What has been looked at: values may be read many times. */
function functionOf(value: string, integers: Integers, known: Known): ByteFunction | undefined {
  if (!known.has(value)) {
    // Until it is known, of what is too deep.
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
  const operands = node.inputs.map((name): ByteFunction | GraphTensor | undefined => {
    if (name === '') return undefined;
    const tensor = rewriter.tensor(name);
    if (tensor)
      return tensor.data.length === 1 && tensor.dims.length <= rewriter.dims(value).length ? tensor : undefined;
    return functionOf(name, integers, known);
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

/** Functions of the same bytes: bytes of a table are functions of those that it reads. */
function commonBytes(all: readonly ByteFunction[], integers: Integers): readonly ByteFunction[] | undefined {
  const [first, ...others] = all.map((one) => origins(one, integers));
  for (const one of first ?? []) {
    const same = others.map((list) => list.find(({ bytes }) => bytes.name === one.bytes.name));
    if (same.every((other) => other !== undefined)) return [one, ...(same as ByteFunction[])];
  }
  return undefined;
}

/** A function, and the same of what its bytes are made of. */
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
  /** What it is for each of these. */
  readonly integers: Uint8Array;
}

/**
 * A sum or product of two functions of the same bytes that are rounded themselves, such as SiLU's, or of one and a constant: the bits
 * are those of QLinearAdd and QLinearMul, not of floats.
 */
function arithmetic(node: GraphNode, to: Scale, integers: Integers) {
  const compute = arithmetics[node.op];
  const terms = compute ? node.inputs.map((name) => termOf(name, integers)) : [];
  if (!compute || terms.length === 0 || terms.includes(undefined)) return undefined;
  const known = terms as Term[];
  const given = known.flatMap(({ bytes, integers: values }) =>
    bytes ? [{ bytes, values: Float32Array.from(values) }] : [],
  );
  const common = commonBytes(given, integers);
  if (!common) return undefined;
  let next = 0;
  // A constant comes second.
  const [a, b] = known
    .map((term) => (term.bytes ? { ...term, integers: (common[next++] as ByteFunction).values } : term))
    .sort((one, other) => Number(!one.bytes) - Number(!other.bytes)) as [Term, Term];
  const value = compute(a, b, to);
  const table = Uint8Array.from({ length: 256 }, (_, q) =>
    roundedByte(value(a.integers[q] as number, b.integers[b.bytes ? q : 0] as number), 1, 0),
  );
  return { bytes: (common[0] as ByteFunction).bytes, table };
}

function termOf(name: string, integers: Integers): Term | undefined {
  const bytes = integers.read(name);
  if (bytes) return { ...bytes, bytes, integers: Uint8Array.from({ length: 256 }, (_, q) => q) };
  const constant = integers.constant(name);
  return constant?.integers.length === 1 ? constant : undefined;
}

type Arithmetic = (a: Term, b: Term, to: Scale) => (a: number, b: number) => number;

/** As onnxruntime computes them on x86-64, in float32 (mlas/lib/intrinsics/avx2/qladd_avx2.cpp, qlmul.cpp). */
const arithmetics: Readonly<Record<string, Arithmetic>> = {
  add(a, b, to) {
    const [aRatio, bRatio] = [Math.fround(a.scale / to.scale), Math.fround(b.scale / to.scale)];
    const zeros = Math.fround(aRatio * a.zeroPoint + Math.fround(bRatio * b.zeroPoint));
    const fixed = Math.fround(to.zeroPoint - zeros);
    // Both with a fused multiply-add, the constant first.
    return (x, y) => Math.fround(x * aRatio + Math.fround(y * bRatio + fixed));
  },
  mul(a, b, to) {
    const ratio = Math.fround(Math.fround(a.scale * b.scale) / to.scale);
    return (x, y) => Math.fround((x - a.zeroPoint) * (y - b.zeroPoint) * ratio) + to.zeroPoint;
  },
};
