import { conv } from '../../../graph/ops/conv';
import { gemm } from '../../../graph/ops/gemm';
import { microsoft } from '../../../graph/ops/microsoft';
import { type AttributesOf, type AttributeTable, attribute, optionalAttribute } from '../../../graph/ops/op';
import { ownDomains } from './domains';
import { type Expansion, UnsupportedForm } from './expansion';

/**
 * An operator that onnxruntime's optimizer writes in place of several of ONNX when it saves a file (`optimizedModelFilePath`). The
 * reader expresses it by those again, as if it were a function that the file defines.
 */
export interface FusedOp<A extends AttributeTable = AttributeTable> {
  readonly inputs: readonly [least: number, most: number];
  readonly outputs: readonly [least: number, most: number];
  readonly attributes: A;
  /** Adds nodes; the last one makes the first output. */
  expand(call: FusedCall<A>, to: Expansion): void;
}

interface FusedCall<A extends AttributeTable> {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: AttributesOf<A>;
}

function fusedOp<const A extends AttributeTable>(
  inputs: FusedOp['inputs'],
  attributes: A,
  expand: FusedOp<A>['expand'],
  outputs: FusedOp['outputs'] = [1, 1],
): FusedOp {
  return { inputs, outputs, attributes, expand } as unknown as FusedOp;
}

const activation = optionalAttribute('text');
const [flag, factor] = [attribute('int', 0), attribute('float', 1)];

/** Operators of onnxruntime's own domain. */
const ofMicrosoft: Readonly<Record<string, FusedOp>> = {
  /** Inputs: x, weight, bias, and what is added before the activation. */
  FusedConv: fusedOp(
    [2, 4],
    { ...conv.attributes, activation, activation_params: attribute('floats', []) },
    ({ inputs: [x = '', weight = '', bias = '', addend = ''], attributes }, to) => {
      const { activation: name, activation_params: parameters, ...window } = attributes;
      const sum = to.add('Conv', bias ? [x, weight, bias] : [x, weight], window);
      to.activate(addend ? to.add('Add', [sum, addend]) : sum, name, (_, i) => parameters[i]);
    },
  ),
  FusedGemm: fusedOp(
    [2, 3],
    {
      ...gemm.attributes,
      activation,
      activation_alpha: optionalAttribute('float'),
      activation_beta: optionalAttribute('float'),
      activation_gamma: optionalAttribute('float'),
    },
    ({ inputs, attributes }, to) => {
      const { activation: name, activation_alpha, activation_beta, activation_gamma, ...rest } = attributes;
      const parameters: Readonly<Record<string, number | undefined>> = {
        alpha: activation_alpha,
        beta: activation_beta,
        gamma: activation_gamma,
      };
      to.activate(to.add('Gemm', inputs, rest), name, (parameter) => parameters[parameter]);
    },
  ),
  FusedMatMul: fusedOp(
    [2, 2],
    { alpha: factor, transA: flag, transB: flag, transBatchA: flag, transBatchB: flag },
    ({ inputs: [a = '', b = ''], attributes: { alpha, transA, transB, transBatchA, transBatchB } }, to) => {
      // Einsum, because the number of axes is not known. transBatch: the axis of rows comes before those of the batch.
      const matrices = (x: string, transposed: number, rowsFirst: number): string => {
        const [source, result] = [rowsFirst ? 'a...b' : '...ab', transposed ? '...ba' : '...ab'];
        return source === result ? x : to.add('Einsum', [x], { equation: `${source}->${result}` });
      };
      const scaled = alpha === 1 ? a : to.add('Mul', [a, to.number(alpha)]);
      to.add('MatMul', [matrices(scaled, transA, transBatchA), matrices(b, transB, transBatchB)]);
    },
  ),
  Gelu: fusedOp([1, 1], {}, ({ inputs }, to) => {
    to.add('Gelu', inputs);
  }),
  /** Inputs: x, bias. */
  BiasGelu: fusedOp([2, 2], {}, ({ inputs }, to) => {
    to.add('Gelu', [to.add('Add', inputs)]);
  }),
  FastGelu: fusedOp([1, 2], {}, ({ inputs: [x = '', bias = ''] }, to) => {
    to.add('Gelu', [bias ? to.add('Add', [x, bias]) : x], { approximate: 'tanh' });
  }),
  QuickGelu: fusedOp(
    [1, 1],
    { alpha: attribute('float', 1.702) },
    ({ inputs: [x = ''], attributes: { alpha } }, to) => {
      const scaled = alpha === 1 ? x : to.add('Mul', [x, to.number(alpha)]);
      to.add('Mul', [x, to.add('Sigmoid', [scaled])]);
    },
  ),
  /** Inputs: x, what is added to it, scale, bias, and a bias of the sum. Outputs: y, mean, inverse deviation, the sum. */
  SkipLayerNormalization: fusedOp(
    [3, 5],
    { epsilon: attribute('float', 1e-12) },
    ({ inputs: [x = '', skip = '', scale = '', shift = '', bias = ''], outputs, attributes: { epsilon } }, to) => {
      if (outputs[1] || outputs[2]) throw new UnsupportedForm('mean or deviation as outputs');
      const total = outputs[3];
      const sum = to.add('Add', [x, skip], {}, bias ? undefined : total);
      const whole = bias ? to.add('Add', [sum, bias], {}, total) : sum;
      to.add('LayerNormalization', shift ? [whole, scale, shift] : [whole, scale], { axis: -1, epsilon });
    },
    [1, 4],
  ),
};

/** Operators that ONNX does not have, although their domain is ONNX's. */
const ofOnnx: Readonly<Record<string, FusedOp>> = {
  /** A LayerNormalization that subtracts no mean. Inputs: x, scale. */
  SimplifiedLayerNormalization: fusedOp(
    [2, 2],
    { axis: attribute('int', -1), epsilon: attribute('float', 1e-5), stash_type: attribute('int', 1) },
    ({ inputs: [x = '', scale = ''], outputs, attributes: { axis, epsilon } }, to) => {
      if (outputs[1]) throw new UnsupportedForm('the deviation as an output');
      if (axis !== -1) throw new UnsupportedForm(`axis ${axis}`);
      const mean = to.add('ReduceMean', [to.add('Mul', [x, x]), to.integers([-1])]);
      const deviation = to.add('Sqrt', [to.add('Add', [mean, to.number(epsilon)])]);
      to.add('Mul', [to.add('Div', [x, deviation]), scale]);
    },
    [1, 2],
  ),
};

/** The fused operator with this name. */
export function fusedOpNamed(name: string, domain: string): FusedOp | undefined {
  const table = domain === microsoft ? ofMicrosoft : ownDomains.includes(domain) ? ofOnnx : {};
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
