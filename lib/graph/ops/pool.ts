import { onnxTypeOf } from '../data-types';
import { Writer } from './builder';
import { attribute, defineOp, type OpNode, operand, type SketchNode, unfit } from './op';
import { checkWindow, planeWindow, slide, windowAttributes, windowOf } from './window';

export const poolAttributes = { ...windowAttributes, ceil_mode: attribute('int', 0) };

export function pooledDims(node: OpNode<typeof poolAttributes>): number[] {
  const { dims } = operand(node, 0);
  return [...dims.slice(0, 2), ...slide(node, dims, windowOf(node, dims), node.attributes.ceil_mode !== 0)];
}

export function checkPool(node: SketchNode<typeof poolAttributes>): void {
  if (!node.attributes.kernel_shape) throw unfit(node, 'the attribute kernel_shape', 'none');
  checkWindow(node);
}

function window(node: OpNode<typeof poolAttributes>) {
  return { ...planeWindow(node, windowOf(node, operand(node, 0).dims)), outputSize: pooledDims(node).slice(2) };
}

/** The second output, the positions of the maxima, is not computed. */
export const maxPool = defineOp({
  onnx: 'MaxPool',
  inputs: [1, 1],
  outputs: [1, 2],
  computed: 1,
  attributes: { ...poolAttributes, storage_order: attribute('int', 0) },
  check: (node) => checkPool(node),
  infer: (node) => [{ type: operand(node, 0).type, dims: pooledDims(node) }],
  writeOut(node, builder) {
    const { type } = operand(node, 0);
    if (type === 'float32') return undefined;
    const write = new Writer(node.node, builder);
    const floats = write.add('cast', node.node.inputs, { to: onnxTypeOf('float32') });
    const pooled = write.add('maxPool', [floats], node.node.attributes);
    return write.last('cast', [pooled], { to: onnxTypeOf(type) });
  },
  isPerImage: true,
  lower: (node) => ({ op: 'maxPool', attributes: window(node) }),
});

export const averagePool = defineOp({
  onnx: 'AveragePool',
  inputs: [1, 1],
  attributes: { ...poolAttributes, count_include_pad: attribute('int', 0) },
  check: (node) => checkPool(node),
  infer: (node) => [{ type: 'float32', dims: pooledDims(node) }],
  isPerImage: true,
  lower: (node) => ({
    op: 'averagePool',
    attributes: { ...window(node), countIncludePad: node.attributes.count_include_pad !== 0 },
  }),
});

/** Pools every channel to one number. */
function globalPool(onnx: string, kind: string) {
  return defineOp({
    onnx,
    inputs: [1, 1],
    attributes: {},
    infer(node) {
      const { type, dims } = operand(node, 0);
      return [{ type, dims: dims.map((dim, axis) => (axis < 2 ? dim : 1)) }];
    },
    isPerImage: true,
    lower: () => ({ op: 'globalPool', attributes: { kind } }),
  });
}

export const globalAveragePool = globalPool('GlobalAveragePool', 'average');
export const globalMaxPool = globalPool('GlobalMaxPool', 'max');
