import type { DataType, GraphNode } from '../graph';
import { type Builder, Writer } from './builder';
import { clamp, erf, mapConstants, roundEven, sigmoid } from './elementwise';
import { gelu } from './gelu';
import { type AttributeKind, type AttributesOf, attribute, defineOp, type Op, type OpNode, operand } from './op';

type Parameters = Readonly<Record<string, AttributeKind<'float', number>>>;

type WriteOut = (write: Writer, x: string, parameters: Readonly<Record<string, number | undefined>>) => GraphNode;

/** A function of one number. `kind` is its name in the engine, where parameters have the names of ONNX. */
function unary<const P extends Parameters>(
  onnx: string,
  kind: string,
  attributes: P,
  compute: (x: number, parameters: AttributesOf<P>) => number,
  more: { readonly type?: DataType; readonly writeOut?: WriteOut } = {},
): Op {
  const { type, writeOut } = more;
  return defineOp<P>({
    onnx,
    inputs: [1, 1],
    attributes,
    infer: (node) => [{ type: type ?? operand(node, 0).type, dims: operand(node, 0).dims }],
    evaluate: (node) => mapConstants(node, type ?? operand(node, 0).type, (x) => compute(x, node.attributes)),
    ...(writeOut && {
      writeOut: ({ node }: OpNode, builder: Builder) =>
        writeOut(new Writer(node, builder), node.inputs[0] as string, node.attributes as Record<string, number>),
    }),
    isPerImage: true,
    lower: ({ node }) => ({
      op: 'unary',
      attributes: { kind, ...(node.attributes as Readonly<Record<string, number>>) },
    }),
  });
}

const float = (fallback: number) => attribute('float', fallback);
const elu = (x: number, alpha: number): number => (x < 0 ? alpha * Math.expm1(x) : x);

export const unaryOps = {
  relu: unary('Relu', 'relu', {}, (x) => Math.max(x, 0)),
  leakyRelu: unary('LeakyRelu', 'leakyRelu', { alpha: float(0.01) }, (x, { alpha }) => (x < 0 ? alpha * x : x)),
  sigmoid: unary('Sigmoid', 'sigmoid', {}, sigmoid),
  hardSigmoid: unary('HardSigmoid', 'hardSigmoid', { alpha: float(0.2), beta: float(0.5) }, (x, { alpha, beta }) =>
    clamp(alpha * x + beta, 0, 1),
  ),
  hardSwish: unary('HardSwish', 'hardSwish', {}, (x) => x * clamp(x / 6 + 0.5, 0, 1)),
  /** x * sigmoid(x). Not an operator of ONNX: a pass makes it from two nodes. */
  silu: unary('', 'silu', {}, (x) => x * sigmoid(x)),
  mish: unary('Mish', 'mish', {}, (x) => x * Math.tanh(Math.log1p(Math.exp(x)))),
  tanh: unary('Tanh', 'tanh', {}, Math.tanh),
  exp: unary('Exp', 'exp', {}, Math.exp),
  log: unary('Log', 'log', {}, Math.log),
  sqrt: unary('Sqrt', 'sqrt', {}, Math.sqrt),
  reciprocal: unary('Reciprocal', 'reciprocal', {}, (x) => 1 / x),
  abs: unary('Abs', 'abs', {}, Math.abs),
  neg: unary('Neg', 'neg', {}, (x) => -x),
  sign: unary('Sign', 'sign', {}, Math.sign),
  floor: unary('Floor', 'floor', {}, Math.floor),
  ceil: unary('Ceil', 'ceil', {}, Math.ceil),
  round: unary('Round', 'round', {}, roundEven),
  sin: unary('Sin', 'sin', {}, Math.sin),
  cos: unary('Cos', 'cos', {}, Math.cos),
  tan: unary('Tan', 'tan', {}, Math.tan),
  asin: unary('Asin', 'asin', {}, Math.asin),
  acos: unary('Acos', 'acos', {}, Math.acos),
  atan: unary('Atan', 'atan', {}, Math.atan),
  sinh: unary('Sinh', 'sinh', {}, Math.sinh),
  cosh: unary('Cosh', 'cosh', {}, Math.cosh),
  asinh: unary('Asinh', 'asinh', {}, Math.asinh),
  acosh: unary('Acosh', 'acosh', {}, Math.acosh),
  atanh: unary('Atanh', 'atanh', {}, Math.atanh),
  erf: unary('Erf', 'erf', {}, erf),
  softplus: unary('Softplus', 'softplus', {}, (x) => Math.log1p(Math.exp(-Math.abs(x))) + Math.max(x, 0)),
  softsign: unary('Softsign', 'softsign', {}, (x) => x / (1 + Math.abs(x))),
  elu: unary('Elu', 'elu', { alpha: float(1) }, (x, { alpha }) => elu(x, alpha)),
  celu: unary('Celu', 'celu', { alpha: float(1) }, (x, { alpha }) => elu(x / alpha, 1) * alpha, {
    writeOut(write, x, { alpha = 1 }) {
      const scaled = write.add('elu', [write.add('div', [x, write.number(alpha)])], { alpha: 1 });
      return write.last('mul', [scaled, write.number(alpha)]);
    },
  }),
  selu: unary(
    'Selu',
    'selu',
    { alpha: float(1.6732632423543772), gamma: float(1.0507009873554805) },
    (x, { alpha, gamma }) => gamma * elu(x, alpha),
  ),
  thresholdedRelu: unary(
    'ThresholdedRelu',
    'thresholdedRelu',
    { alpha: float(1) },
    (x, { alpha }) => (x > alpha ? x : 0),
    {
      writeOut: (write, x, { alpha = 1 }) =>
        write.last('where', [write.add('greater', [x, write.number(alpha)]), x, write.number(0)]),
    },
  ),
  shrink: unary(
    'Shrink',
    'shrink',
    { bias: float(0), lambd: float(0.5) },
    (x, { bias, lambd }) => (x < -lambd ? x + bias : x > lambd ? x - bias : 0),
    {
      writeOut(write, x, { bias = 0, lambd = 0 }) {
        const low = write.add('less', [x, write.number(-lambd)]);
        const high = write.add('greater', [x, write.number(lambd)]);
        const inner = write.add('where', [high, write.add('sub', [x, write.number(bias)]), write.number(0)]);
        return write.last('where', [low, write.add('add', [x, write.number(bias)]), inner]);
      },
    },
  ),
  gelu,
  not: unary('Not', 'not', {}, (x) => Number(!x), {
    type: 'bool',
    writeOut: (write, x) => write.last('xor', [x, write.number(1, 'bool')]),
  }),
  isNaN: unary('IsNaN', 'isNaN', {}, (x) => Number(Number.isNaN(x)), {
    type: 'bool',
    writeOut: (write, x) => write.last('xor', [write.add('equal', [x, x]), write.number(1, 'bool')]),
  }),
};
