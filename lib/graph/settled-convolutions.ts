import { type Graph, type GraphNode, sizeOf } from './graph';
import { Rewriter } from './rewriter';

/** The first convolution of images with so few channels packs its weights for the layout of images. */
const maxImageChannels = 4;

/** Fewer weights are packed in no time. */
const minWeights = 2 ** 12;

/** Passes take no longer than this many weights. Those that are packed later return to the system one by one, which lowers the peak. */
const maxWeights = 2 ** 23;

/**
 * The convolutions whose weights passes leave as they are, as far as their neighbours tell, without bias and without what lies between
 * them: what they read is an input. Undefined if there are none.
 *
 * @param graph All dims are known.
 */
export function settledConvolutions(graph: Graph): Graph | undefined {
  if (graph.nodes.some(({ op }) => /quantize/i.test(op))) return undefined;
  const rewriter = new Rewriter(graph);
  let left = maxWeights;
  const nodes = [...rewriter.nodes('conv')].filter((node) => {
    if (left <= 0 || !isSettled(node, rewriter)) return false;
    left -= sizeOf(rewriter.dims(node.inputs[1]));
    return true;
  });
  rewriter.finish(); // passes continue with its links
  if (nodes.length === 0) return undefined;
  const made = new Set(nodes.flatMap(({ outputs }) => outputs));
  const read = new Set(nodes.map(({ inputs }) => inputs[0] as string).filter((name) => !made.has(name)));
  return {
    ...graph,
    inputs: [...read].map((name) => ({ name, ...rewriter.value(name) })),
    nodes: nodes.map((node) => ({ ...node, inputs: node.inputs.slice(0, 2) })),
    outputs: [],
  };
}

function isSettled(node: GraphNode, rewriter: Rewriter): boolean {
  const [x = '', weight] = node.inputs;
  const tensor = rewriter.tensor(weight);
  if (tensor?.type !== 'float32' || tensor.dims.length !== 4 || sizeOf(tensor.dims) < minWeights) return false;
  const front = rewriter.maker(x);
  const readers = rewriter.readers(node.outputs[0] as string);
  const neighbours = [...(front ? [front] : []), ...readers];
  return (
    hasOneGroup(node, rewriter) &&
    (tensor.dims[1] as number) > maxImageChannels &&
    !neighbours.some((other) => isMerged(other, rewriter)) &&
    !readers.some((reader) => joinsBranches(reader, x, rewriter)) &&
    // One kernel computes a depthwise convolution and the pointwise one behind it.
    !(front?.op === 'conv' && !hasOneGroup(front, rewriter))
  );
}

/** Whether a convolution before or behind the node may get other weights, or another window. */
function isMerged({ op, inputs }: GraphNode, rewriter: Rewriter): boolean {
  const isFactor = op === 'mul' || op === 'div';
  return op === 'batchNormalization' || op === 'pad' || (isFactor && inputs.some((name) => rewriter.tensor(name)));
}

/** Whether the node adds a convolution of `x` to `x` or to another one: they may become one. */
function joinsBranches({ op, inputs }: GraphNode, x: string, rewriter: Rewriter): boolean {
  const isBranch = (name: string): boolean => {
    const maker = rewriter.maker(name);
    return name === x || (maker?.op === 'conv' && maker.inputs[0] === x);
  };
  return op === 'add' && inputs.every(isBranch);
}

function hasOneGroup({ inputs: [x, weight] }: GraphNode, rewriter: Rewriter): boolean {
  return rewriter.dims(weight)[1] === rewriter.dims(x)[1];
}
