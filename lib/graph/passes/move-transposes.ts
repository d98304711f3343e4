import type { Graph, GraphNode } from '../graph';
import { nodeOf, Rewriter } from '../rewriter';

type Form = Pick<GraphNode, 'op' | 'inputs' | 'attributes'>;

/**
 * Moves transpositions towards the images that they transpose: through concatenations, and into one with the reshape before it.
 * Images have their channels last in memory, so a transposition that wants them last is a copy of rows. Merges transpositions
 * in a row; if they undo each other, the result is an identity, which dropIdentities removes.
 */
export function moveTransposes(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  for (const node of rewriter.nodes('transpose')) {
    const form = moved(node.inputs[0] as string, permutationOf(node, rewriter), node, rewriter);
    if (form) rewriter.replace(node, { ...form, name: node.name, outputs: node.outputs });
  }
  return rewriter.finish();
}

/** Another way to compute a transposed value, with new nodes before `at`; nothing if there is none. */
function moved(name: string, perm: readonly number[], at: GraphNode, rewriter: Rewriter): Form | undefined {
  const maker = rewriter.maker(name);
  const [source = ''] = maker?.inputs ?? [];
  if (!maker || maker.activation) return undefined;
  switch (maker.op) {
    case 'transpose': {
      const first = permutationOf(maker, rewriter);
      const both = perm.map((axis) => first[axis] as number);
      return moved(source, both, at, rewriter) ?? nodeOf(maker, 'transpose', [source], { perm: both });
    }
    case 'reshape':
      return isImage(source, rewriter)
        ? nodeOf(maker, 'transposeAs', [source], { dims: rewriter.dims(name), perm })
        : undefined;
    case 'concat':
      return canDivide(name, rewriter) ? divided(maker, perm, at, rewriter) : undefined;
    default:
      return undefined;
  }
}

/** Whether a part of a concatenation is an image. One that is an image itself is transposed as a whole. */
function canDivide(name: string, rewriter: Rewriter): boolean {
  const maker = rewriter.soleMaker(name);
  if (maker?.op !== 'concat' || maker.activation || rewriter.dims(name).length === 4) return false;
  return maker.inputs.some((part) => {
    const before = rewriter.maker(part);
    return before?.op === 'reshape' ? isImage(before.inputs[0] as string, rewriter) : canDivide(part, rewriter);
  });
}

function divided(maker: GraphNode, perm: readonly number[], at: GraphNode, rewriter: Rewriter): Form {
  const given = maker.attributes.axis as number;
  const axis = perm.indexOf(given < 0 ? given + perm.length : given);
  const parts = maker.inputs.map((part) => {
    const form = moved(part, perm, at, rewriter);
    const { type, dims } = rewriter.value(part);
    return form
      ? rewriter.insert(at, `${at.name}/part`, form, { type, dims: perm.map((from) => dims[from] as number) })
      : rewriter.compute(at, 'transpose', [part], { perm });
  });
  return nodeOf(maker, 'concat', parts, { axis });
}

function isImage(name: string, rewriter: Rewriter): boolean {
  const { type, dims } = rewriter.value(name);
  return type === 'float32' && dims.length === 4;
}

/** Axis i of the output of a transposition is this axis of its input. */
export function permutationOf(node: GraphNode, rewriter: Rewriter): readonly number[] {
  const given = node.attributes.perm as readonly number[] | undefined;
  return given ?? rewriter.dims(node.inputs[0]).map((_, i, { length }) => length - 1 - i);
}
