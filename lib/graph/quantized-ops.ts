import type { GraphNode } from './graph';
import { movers } from './movers';
import type { QuantizedForm } from './quantized-form';
import { nodeOf } from './rewriter';

type Form = (node: GraphNode, form: QuantizedForm) => void;

/** Rewrites operators in integers as operators in floats between conversions. */
export const quantizedOps: Readonly<Record<string, Form>> = {
  quantizeLinear(node, form) {
    form.checkScale(node);
    const folded = form.fold(node);
    if (folded) form.tensors.set(node.outputs[0] as string, folded);
    else form.round(node);
  },
  dequantizeLinear(node, form) {
    form.checkScale(node);
    form.push(node);
  },
  qLinearConv(node, form) {
    const [x = '', xScale = '', xZero = '', w = '', wScale = '', wZero = '', scale = '', zero = '', bias = ''] =
      node.inputs;
    const operands = [
      form.dequantize(node, 'x', [x, xScale, xZero]),
      form.dequantize(node, 'weight', [w, wScale, wZero], 0),
      ...biasOf(node, bias, xScale, wScale, form),
    ];
    form.quantize(node, [form.made(node, 'conv', 'conv', operands, node.attributes), scale, zero]);
  },
  qLinearMatMul(node, form) {
    const [a = '', aScale = '', aZero = '', b = '', bScale = '', bZero = '', scale = '', zero = ''] = node.inputs;
    const rank = form.constant(b)?.dims.length ?? 2;
    const operands = [
      form.dequantize(node, 'a', [a, aScale, aZero], 0),
      form.dequantize(node, 'b', [b, bScale, bZero], rank - 1),
    ];
    form.quantize(node, [form.made(node, 'product', 'matMul', operands), scale, zero]);
  },
  qGemm(node, form) {
    const [a = '', aScale = '', aZero = '', b = '', bScale = '', bZero = '', bias = '', scale = '', zero = ''] =
      node.inputs;
    const operands = [
      form.dequantize(node, 'a', [a, aScale, aZero]),
      form.dequantize(node, 'b', [b, bScale, bZero], node.attributes.transB ? 0 : 1),
      ...biasOf(node, bias, aScale, bScale, form),
    ];
    if (scale) form.quantize(node, [form.made(node, 'product', 'gemm', operands, node.attributes), scale, zero]);
    else form.push(nodeOf(node, 'gemm', operands, node.attributes));
  },
  qLinearAdd: binary('add'),
  qLinearMul: binary('mul'),
  qLinearSigmoid: unary('sigmoid'),
  qLinearLeakyRelu: unary('leakyRelu'),
  qLinearGlobalAveragePool: unary('globalAveragePool'),
  qLinearAveragePool: unary('averagePool'),
  qLinearConcat(node, form) {
    const [scale = '', zero = '', ...rest] = node.inputs;
    const count = Math.floor(rest.length / 3);
    const operands = Array.from({ length: count }, (_, i) =>
      form.dequantize(node, `operand${i}`, rest.slice(3 * i, 3 * i + 3)),
    );
    form.quantize(node, [form.made(node, 'concat', 'concat', operands, node.attributes), scale, zero]);
  },
};

/** Dequantises a bias, whose scale is the product of the scales of both factors. */
function biasOf(node: GraphNode, bias: string, a: string, b: string, form: QuantizedForm): readonly string[] {
  if (!bias) return [];
  return [form.dequantize(node, 'bias', [bias, form.compute(node, 'bias_scale', 'mul', [a, b])], 0)];
}

function binary(op: string): Form {
  return (node, form) => {
    const [a = '', aScale = '', aZero = '', b = '', bScale = '', bZero = '', scale = '', zero = ''] = node.inputs;
    const operands = [form.dequantize(node, 'a', [a, aScale, aZero]), form.dequantize(node, 'b', [b, bScale, bZero])];
    form.quantize(node, [form.made(node, op, op, operands), scale, zero]);
  };
}

function unary(op: string): Form {
  return (node, form) => {
    const [x = '', xScale = '', xZero = '', scale = '', zero = ''] = node.inputs;
    const { channels_last: isLast, ...attributes } = node.attributes;
    if (isLast) form.refuse(node, 'channels in front of pixels', 'channels_last 1');
    form.quantize(node, [
      form.made(node, op, op, [form.dequantize(node, 'x', [x, xScale, xZero])], attributes),
      scale,
      zero,
    ]);
  };
}

/** Operators of one operand that move integers: their input and output have the same scale. */
export const movedOps: Readonly<Record<string, Form>> = Object.fromEntries(
  [...movers.filter((op) => op !== 'concat'), 'maxPool', 'resize', 'dropout'].map((op) => [op, moved]),
);

function moved(node: GraphNode, form: QuantizedForm): void {
  const [integers = '', ...others] = node.inputs;
  const parameters = form.scaleOf(integers);
  const floats = form.dequantize(node, 'floats', [integers, ...parameters]);
  const results = node.outputs.map((name) => (name === '' ? '' : form.name(`${name}/floats`)));
  form.push({ ...node, inputs: [floats, ...others], outputs: results });
  node.outputs.forEach((name, i) => {
    if (name !== '')
      form.quantize({ name: `${name}/integers`, outputs: [name] }, [results[i] as string, ...parameters]);
  });
}
