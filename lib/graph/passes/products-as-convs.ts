import { type Graph, type GraphNode, type GraphTensor, sizeOf } from '../graph';
import { nodeOf, Rewriter } from '../rewriter';
import { tensorOf } from '../tensors';
import { oriented } from './gemm';

/** Below so many weights the conversion of rows costs more than a product without a kernel. */
const fewestWeights = 1024;

/**
 * Writes MatMul with a constant matrix as a convolution of one tap, whose pixels are the rows of the other factor: it has the
 * better kernels, and packs the matrix once. A bias that is added becomes its bias.
 */
export function productsAsConvs(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  for (const node of rewriter.nodes('matMul')) {
    const matrix = rewriter.tensor(node.inputs[1]);
    const rank = rewriter.dims(node.inputs[0]).length;
    if (matrix?.type === 'float32' && matrix.dims.length === 2 && matrix.data.length >= fewestWeights && rank >= 2)
      write(node, matrix, rewriter);
  }
  return rewriter.finish();
}

function write(node: GraphNode, matrix: GraphTensor, rewriter: Rewriter): void {
  const [a = '', b = ''] = node.inputs;
  const [depth, columns] = matrix.dims as [number, number];
  const result = rewriter.dims(node.outputs[0]);
  const rows = sizeOf(result.slice(0, -1));
  if (rows === 0) return;
  const sum = biasOf(node, columns, rewriter);
  const { node: last, bias } = sum ?? { node, bias: undefined };
  const reshaped = (from: string, dims: readonly number[], hint: string): readonly [string, string] => [
    from,
    rewriter.addTensor(`${node.name}/${hint}`, tensorOf('int64', [dims.length], dims)),
  ];
  const insert = (hint: string, op: string, inputs: readonly string[], dims: readonly number[], attributes = {}) =>
    rewriter.insert(last, `${node.name}/${hint}`, nodeOf(node, op, inputs, attributes), { type: 'float32', dims });

  const height = heightOf(rows);
  const width = rows / height;
  const lines = [1, height, width, depth];
  const line = insert('rows', 'reshape', reshaped(a, lines, 'lines'), lines, { allowzero: 1 });
  const map = insert('map', 'transpose', [line], [1, depth, height, width], { perm: [0, 3, 1, 2] });
  const kernel = { type: 'float32' as const, dims: [columns, depth, 1, 1], data: oriented(matrix, true, 1) };
  const operands = [map, rewriter.addTensor(`${b}/kernel`, kernel), ...(bias ? [bias] : [])];
  const conv = nodeOf(node, 'conv', operands, { kernel_shape: [1, 1] });
  const { activation } = last;
  const product = rewriter.insert(last, `${node.name}/conv`, activation ? { ...conv, activation } : conv, {
    type: 'float32',
    dims: [1, columns, height, width],
  });
  const turned = insert('product', 'transpose', [product], [1, height, width, columns], { perm: [0, 2, 3, 1] });
  rewriter.replace(last, nodeOf(last, 'reshape', reshaped(turned, result, 'dims'), { allowzero: 1 }));
  if (last !== node) rewriter.remove(node);
}

/** Convolutions are divided among threads by rows of pixels, too: this many are enough. */
const mostLines = 16;

/** The largest number of lines that divides the rows of a product evenly. */
function heightOf(rows: number): number {
  let height = mostLines;
  while (rows % height !== 0) height--;
  return height;
}

/** The sum of the product and one number per column, and the name of these numbers. */
function biasOf(node: GraphNode, columns: number, rewriter: Rewriter): { node: GraphNode; bias: string } | undefined {
  const [output = ''] = node.outputs;
  const [sum] = rewriter.readers(output);
  if (node.activation || sum?.op !== 'add' || !rewriter.isReadOnce(output)) return undefined;
  const other = sum.inputs[sum.inputs[0] === output ? 1 : 0] as string;
  const tensor = rewriter.tensor(other);
  if (tensor?.data.length !== columns || tensor.dims.at(-1) !== columns) return undefined;
  if (tensor.dims.length > rewriter.dims(output).length) return undefined;
  return { node: sum, bias: rewriter.addTensor(`${other}/bias`, { ...tensor, dims: [columns] }) };
}
