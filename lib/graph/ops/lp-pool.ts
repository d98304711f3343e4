import { type GraphNode, sizeOf } from '../graph';
import { Writer } from './builder';
import { spatialAxes } from './normalization';
import { type AttributeKind, attribute, defineOp, operand, type SketchNode, unsupported } from './op';
import { checkPool, poolAttributes, pooledDims } from './pool';
import { windowOf } from './window';

const attributes = { ...poolAttributes, p: attribute('int', 2) };

/** The p-norm of what is under a window: the p-th root of a sum of p-th powers. */
export const lpPool = defineOp({
  onnx: 'LpPool',
  inputs: [1, 1],
  attributes,
  check(node) {
    checkPool(node);
    checkP(node);
  },
  infer: (node) => [{ type: operand(node, 0).type, dims: pooledDims(node) }],
  isPerImage: true,
  writeOut(node, builder) {
    const write = new Writer(node.node, builder);
    const { dims } = operand(node, 0);
    const { kernel, strides, dilations, pads } = windowOf(node, dims);
    const outputs = pooledDims(node).slice(2);
    // Padded by zeros as far as the last window reaches, so that all means are of as many numbers.
    const ends = outputs.map((count, i) => {
      const last = (count - 1) * (strides[i] as number) + ((kernel[i] as number) - 1) * (dilations[i] as number) + 1;
      return Math.max(0, last - (dims[i + 2] as number) - (pads[i] as number));
    });
    const padding = [0, 0, ...pads.slice(0, kernel.length), 0, 0, ...ends];
    const powers = powerOf(write, node.node.inputs[0] as string, node.attributes.p);
    const padded = write.add('pad', [powers, write.integers(padding)], {
      mode: 'constant',
    });
    const window = { auto_pad: 'NOTSET', kernel_shape: kernel, strides, dilations, ceil_mode: 0, count_include_pad: 1 };
    const means = write.add('averagePool', [padded], window);
    return rootOf(write, node.attributes.p, 'mul', [means, write.number(sizeOf(kernel))]);
  },
});

/** The p-norm of every channel. */
export const globalLpPool = defineOp({
  onnx: 'GlobalLpPool',
  inputs: [1, 1],
  attributes: { p: attribute('int', 2) },
  check: checkP,
  infer(node) {
    const { type, dims } = operand(node, 0);
    return [{ type, dims: dims.map((dim, axis) => (axis < 2 ? dim : 1)) }];
  },
  isPerImage: true,
  writeOut(node, builder) {
    const write = new Writer(node.node, builder);
    const axes = spatialAxes(node);
    const powers = powerOf(write, node.node.inputs[0] as string, node.attributes.p);
    const along = write.integers(axes);
    return rootOf(write, node.attributes.p, 'reduceSum', [powers, along], { keepdims: 1, noop_with_empty_axes: 1 });
  },
});

function checkP(node: SketchNode<{ readonly p: AttributeKind<'int', number> }>): void {
  if (node.attributes.p < 1) throw unsupported(node, 'p of at least 1', String(node.attributes.p));
}

/** |x|^p */
function powerOf(write: Writer, x: string, p: number): string {
  if (p === 2) return write.add('mul', [x, x]);
  const absolute = write.add('abs', [x]);
  return p === 1 ? absolute : write.add('pow', [absolute, write.number(p)]);
}

/** The p-th root of what a node computes. */
function rootOf(
  write: Writer,
  p: number,
  op: string,
  inputs: readonly string[],
  attributes: GraphNode['attributes'] = {},
): GraphNode {
  if (p === 1) return write.last(op, inputs, attributes);
  const sum = write.add(op, inputs, attributes);
  return p === 2 ? write.last('sqrt', [sum]) : write.last('pow', [sum, write.number(1 / p)]);
}
