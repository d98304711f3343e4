import type { Graph } from '../graph';
import { nodeOf, Rewriter } from '../rewriter';
import { tensorOf } from '../tensors';

const kinds = ['flatten', 'squeeze', 'unsqueeze', 'reshape'];

/** Writes every node that only changes dims as Reshape, and merges chains of them. */
export function unifyReshapes(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  for (const node of rewriter.nodes(...kinds)) {
    const dims = rewriter.dims(node.outputs[0]);
    const before = rewriter.maker(node.inputs[0]);
    const source = before?.op === 'reshape' && !before.activation ? before.inputs[0] : node.inputs[0];
    const shape = rewriter.addTensor(`${node.name}/dims`, tensorOf('int64', [dims.length], dims));
    rewriter.replace(node, {
      ...nodeOf(node, 'reshape', [source as string, shape], { allowzero: 1 }),
      ...activationOf(node),
    });
  }
  return rewriter.finish();
}

function activationOf({ activation }: { activation?: Graph['nodes'][number]['activation'] }) {
  return activation ? { activation } : {};
}
