import type { Graph, GraphNode, ValueType } from '../graph';
import { nodeOf, Rewriter } from '../rewriter';
import { tensorOf } from '../tensors';

const sliding = ['conv', 'convTranspose', 'maxPool', 'averagePool', 'globalAveragePool', 'globalMaxPool'];

/** Attributes with an entry for each spatial axis, and the entry of the axis that is added. */
const perAxis = { dilations: 1, kernel_shape: 1, strides: 1, output_padding: 0 } as const;

/** Adds an axis of length 1 to operators with one spatial axis: the engine only knows maps, which have two. */
export function linesAsPlanes(graph: Graph, where: string): Graph {
  const rewriter = new Rewriter(graph, where);
  for (const node of rewriter.nodes()) {
    if (sliding.includes(node.op) && rewriter.dims(node.inputs[0]).length === 3) widen(node, rewriter);
  }
  return rewriter.finish();
}

function widen(node: GraphNode, rewriter: Rewriter): void {
  const result = rewriter.value(node.outputs[0] as string);
  const [x = '', weight = '', ...others] = node.inputs;
  const inputs = [reshaped(x, node, rewriter), ...(weight ? [reshaped(weight, node, rewriter)] : []), ...others];
  const attributes = { ...node.attributes };
  for (const [name, fill] of Object.entries(perAxis)) {
    const list = attributes[name] as readonly number[] | undefined;
    if (list) attributes[name] = [fill, ...list];
  }
  const { pads, output_shape: shape } = attributes as Record<string, readonly number[] | undefined>;
  if (pads) attributes.pads = [0, pads[0] as number, 0, pads[1] as number];
  if (shape) attributes.output_shape = [1, ...shape.slice(-1)];
  const { name: _, outputs: __, ...plain } = node;
  const plane = rewriter.insert(node, `${node.name}/plane`, { ...plain, inputs, attributes }, widened(result));
  const dims = rewriter.addTensor(`${node.name}/dims`, tensorOf('int64', [3], result.dims));
  rewriter.replace(node, nodeOf(node, 'reshape', [plane, dims], { allowzero: 1 }));
}

/** [n, c, length] as [n, c, 1, length] */
function reshaped(name: string, node: GraphNode, rewriter: Rewriter): string {
  const value = widened(rewriter.value(name));
  const tensor = rewriter.tensor(name);
  if (tensor) return rewriter.addTensor(`${name}/plane`, { ...tensor, dims: value.dims });
  const dims = rewriter.addTensor(`${name}/dims`, tensorOf('int64', [4], value.dims));
  return rewriter.insert(
    node,
    `${name}/plane`,
    nodeOf({ name: '', outputs: [] }, 'reshape', [name, dims], { allowzero: 1 }),
    value,
  );
}

function widened({ type, dims }: ValueType<number>): ValueType<number> {
  return { type, dims: [...dims.slice(0, 2), 1, ...dims.slice(2)] };
}
