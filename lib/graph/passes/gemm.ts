import { type Graph, type GraphNode, type GraphTensor, sizeOf, type TensorData } from '../graph';
import { nodeOf, Rewriter } from '../rewriter';
import { tensorOf } from '../tensors';

/**
 * Writes Gemm as a convolution of one tap if it reads a map of one pixel (the classifier of a network), otherwise as MatMul and
 * Add. Transposes and scales constants, in double.
 */
export function lowerGemm(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  for (const node of rewriter.nodes('gemm')) pixelConv(node, rewriter) || product(node, rewriter);
  return rewriter.finish();
}

/** @returns whether Gemm is such a convolution; if so, it has been replaced. */
function pixelConv(node: GraphNode, rewriter: Rewriter): boolean {
  const { transA, transB, alpha, beta } = node.attributes as Record<string, number>;
  const [a = '', b = '', c = ''] = node.inputs;
  const reshape = rewriter.maker(a);
  const source = reshape?.op === 'reshape' && !reshape.activation ? (reshape.inputs[0] as string) : '';
  const [rows, columns] = rewriter.dims(node.outputs[0]) as [number, number];
  const dims = rewriter.dims(source);
  const [weight, bias] = [rewriter.tensor(b), rewriter.tensor(c)];
  if (transA || !weight || (c && bias?.data.length !== columns)) return false;
  if (dims.length !== 4 || dims[0] !== rows || sizeOf(dims.slice(2)) !== 1) return false;
  const depth = dims[1] as number;
  const data = oriented(weight, !transB, alpha as number);
  const inputs = [source, rewriter.addTensor(`${b}/kernel`, { type: 'float32', dims: [columns, depth, 1, 1], data })];
  if (bias)
    inputs.push(
      rewriter.addTensor(`${c}/bias`, { type: 'float32', dims: [columns], data: scaled(bias, beta as number) }),
    );
  const pixel = { type: 'float32' as const, dims: [rows, columns, 1, 1] };
  const conv = nodeOf(node, 'conv', inputs, { kernel_shape: [1, 1] });
  const result = rewriter.insert(node, `${node.name}/pixel`, activated(conv, node), pixel);
  const shape = rewriter.addTensor(`${node.name}/dims`, tensorOf('int64', [2], [rows, columns]));
  rewriter.replace(node, nodeOf(node, 'reshape', [result, shape], { allowzero: 1 }));
  return true;
}

function product(node: GraphNode, rewriter: Rewriter): void {
  const { transA, transB, alpha = 1, beta = 1 } = node.attributes as Record<string, number>;
  const [a = '', b = '', c = ''] = node.inputs;
  const value = rewriter.value(node.outputs[0] as string);
  const factor = (name: string, by: number): string => {
    if (by === 1) return name;
    const tensor = rewriter.tensor(name);
    if (tensor) return rewriter.addTensor(`${name}/scaled`, { ...tensor, data: scaled(tensor, by) });
    const constant = rewriter.addTensor(`${node.name}/factor`, tensorOf('float32', [1], [by]));
    return rewriter.insert(node, `${node.name}/scaled`, nodeOf(node, 'mul', [name, constant]), rewriter.value(name));
  };
  const turned = (name: string, turn: number | undefined): string => {
    if (!turn) return name;
    const { type, dims } = rewriter.value(name);
    const swapped = { type, dims: [...dims].reverse() };
    const tensor = rewriter.tensor(name);
    if (tensor) return rewriter.addTensor(`${name}/transposed`, { ...swapped, data: oriented(tensor, true, 1) });
    return rewriter.insert(
      node,
      `${node.name}/transposed`,
      nodeOf(node, 'transpose', [name], { perm: [1, 0] }),
      swapped,
    );
  };
  const inputs = [turned(a, transA), factor(turned(b, transB), alpha)];
  if (!c) {
    rewriter.replace(node, activated(nodeOf(node, 'matMul', inputs), node));
    return;
  }
  const result = rewriter.insert(node, `${node.name}/product`, nodeOf(node, 'matMul', inputs), value);
  rewriter.replace(node, activated(nodeOf(node, 'add', [result, factor(c, beta)]), node));
}

function activated(made: GraphNode, { activation }: GraphNode): GraphNode {
  return activation ? { ...made, activation } : made;
}

function scaled({ data }: GraphTensor, by: number): TensorData {
  // No copy: a classifier has millions of numbers.
  if (by === 1) return data;
  const numbers = data as ArrayLike<number>;
  const result = new Float64Array(numbers.length);
  for (let i = 0; i < numbers.length; i++) result[i] = (numbers[i] as number) * by;
  return result;
}

/** A matrix times a number, perhaps transposed. */
export function oriented(tensor: GraphTensor, transpose: boolean, by: number): TensorData {
  if (!transpose) return scaled(tensor, by);
  const numbers = tensor.data as ArrayLike<number>;
  const [rows, columns] = tensor.dims as [number, number];
  const result = new Float64Array(numbers.length);
  let next = 0;
  for (let column = 0; column < columns; column++) {
    for (let row = 0; row < rows; row++) result[next++] = (numbers[row * columns + column] as number) * by;
  }
  return result;
}
