import type { Graph } from '../graph';
import { nodeOf, Rewriter } from '../rewriter';
import { permutationOf } from './move-transposes';

/** Lets MatMul read its second factor transposed, as attention does with its keys: the product copies panels of it anyway. */
export function transposeIntoProduct(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  for (const node of rewriter.nodes('matMul')) {
    const transpose = rewriter.maker(node.inputs[1]);
    if (transpose?.op !== 'transpose' || transpose.activation) continue;
    const rank = rewriter.dims(node.inputs[1]).length;
    const swapped = [...Array(rank - 2).keys(), rank - 1, rank - 2];
    if (!permutationOf(transpose, rewriter).every((axis, i) => axis === swapped[i])) continue;
    const inputs = [node.inputs[0] as string, transpose.inputs[0] as string];
    const { activation } = node;
    rewriter.replace(node, { ...nodeOf(node, 'matMulTransposed', inputs), ...(activation && { activation }) });
  }
  return rewriter.finish();
}
