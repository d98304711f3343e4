import { type Graph, type GraphNode, type GraphTensor, sameDims, type ValueType } from './graph';
import { opOf } from './ops';
import { nodeView } from './specialize';

/**
 * Whether each image of a batch is computed independently: axis 0 of every value is the image, and no node mixes two images.
 * Compares what the graph becomes for one image and for two.
 */
export function isIndependent(one: Graph, two: Graph): boolean {
  const areAlike = one.nodes.length === two.nodes.length && one.inputs.every(({ name }) => isBatched(name, one, two));
  const [constants, ofTwo] = [constantValues(one), constantValues(two)];
  const computed = one.nodes.filter(({ outputs }) => !outputs.every((name) => constants.has(name)));
  const computes = new Set([...one.inputs.map(({ name }) => name), ...computed.flatMap(({ outputs }) => outputs)]);
  return (
    areAlike &&
    one.outputs.every((name) => computes.has(name)) &&
    one.nodes.every((node, i) => node.name === two.nodes[i]?.name) &&
    computed.every(keepsImages)
  );

  function keepsImages(node: GraphNode): boolean {
    const changing = node.inputs.filter((name) => name !== '' && !constants.has(name));
    if (![...changing, ...node.outputs].every((name) => isBatched(name, one, two))) return false;
    const { isPerImage = () => false } = opOf(node);
    if (isPerImage === true) return true;
    return isPerImage(nodeView(node, one.values, constants), nodeView(node, two.values, ofTwo));
  }
}

/** Tensors, and values computed from tensors alone, such as weights in integers. The latter are not evaluated here. */
function constantValues({ nodes, tensors, values }: Graph): ReadonlyMap<string, GraphTensor> {
  const constants = new Map(tensors);
  for (const { inputs, outputs } of nodes) {
    const isConstant = inputs.length > 0 && inputs.every((name) => name === '' || constants.has(name));
    if (!isConstant) continue;
    for (const name of outputs) constants.set(name, { ...(values.get(name) as ValueType<number>), data: noNumbers });
  }
  return constants;
}

const noNumbers = new Float32Array();

/** Whether the dims of a value differ only in axis 0: 1 in the one graph, 2 in the other. */
function isBatched(name: string, one: Graph, two: Graph): boolean {
  const [a, b] = [one, two].map(({ values }) => values.get(name)?.dims ?? []) as [number[], number[]];
  return a[0] === 1 && b[0] === 2 && sameDims(a.slice(1), b.slice(1));
}
