import { onnxTypeOf } from '../data-types';
import { tensorOf } from '../tensors';
import { Writer } from './builder';
import { type Additions, attribute, defineOp, derived, type FileNode, namedAxis, type Op, operand } from './op';

function softmaxOp(onnx: string, log: boolean): Op {
  return defineOp({
    onnx,
    inputs: [1, 1],
    attributes: { axis: attribute('int', -1) },
    upgrade: flattened,
    infer: (node) => [{ type: operand(node, 0).type, dims: operand(node, 0).dims }],
    isPerImage: (node) => namedAxis(node) !== 0,
    lower: (node) => ({ op: 'softmax', attributes: { log, axis: namedAxis(node) } }),
  });
}

export const softmax = softmaxOp('Softmax', false);
export const logSoftmax = softmaxOp('LogSoftmax', true);

/** One at the first largest number along an axis, zeros elsewhere. */
export const hardmax = defineOp({
  onnx: 'Hardmax',
  inputs: [1, 1],
  attributes: { axis: attribute('int', -1) },
  upgrade: flattened,
  infer: (node) => [{ type: operand(node, 0).type, dims: operand(node, 0).dims }],
  isPerImage: (node) => namedAxis(node) !== 0,
  writeOut(node, builder) {
    const write = new Writer(node.node, builder);
    const { type, dims } = operand(node, 0);
    const axis = namedAxis(node);
    const largest = write.add('argMax', node.node.inputs, { axis, keepdims: 1, select_last_index: 0 });
    const along = dims.map((dim, i) => (i === axis ? dim : 1));
    const places = write.tensor(tensorOf('int64', along, [...Array(dims[axis]).keys()]));
    return write.last('cast', [write.add('equal', [largest, places])], { to: onnxTypeOf(type), saturate: 1 });
  },
});

/** Before opset 13, softmax is over all axes from `axis` (default: 1) on. */
function flattened(node: FileNode, opset: number, additions: Additions): FileNode[] {
  const axis = (node.attributes.get('axis') as number | undefined) ?? 1;
  if (opset >= 13 || axis === -1) return [node];
  const x = node.inputs[0] as string;
  const dims = derived(node, 'dims', 'Shape', [x], additions);
  const rows = derived(node, 'rows', 'Flatten', [x], additions, { axis });
  const result = derived(node, 'result', node.op, rows.outputs, additions, { axis: -1 });
  return [
    dims,
    rows,
    { ...result, name: node.name },
    { ...derived(node, 'reshaped', 'Reshape', [...result.outputs, ...dims.outputs], additions), outputs: node.outputs },
  ];
}
