import type { Graph, GraphNode, GraphTensor } from '../../graph';
import { Rewriter } from '../../rewriter';
import { tensorOf } from '../../tensors';
import { imageChannels, named, type Scale, sameScale, scaleNamed } from './parameters';

/** Moves tables into the node that makes their bytes, and the rounding of images into the first convolution. */
export function fuseIntegers(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  const inputs = new Set(graph.inputs.map(({ name }) => name));
  for (const node of rewriter.nodes()) {
    if (node.op === 'quantizedTable') fuseTable(node, rewriter);
    else if (node.op === 'quantizedConv') fuseImage(node, inputs, rewriter);
  }
  return rewriter.finish();
}

function fuseTable(node: GraphNode, rewriter: Rewriter): void {
  const [from, to] = [scaleNamed('input', node), scaleNamed('output', node)];
  const table = rewriter.tensor(node.inputs[1]) as GraphTensor;
  const isSame = sameScale(from, to);
  if (isSame && isIdentity(table)) {
    rewriter.bypass(node);
    return;
  }
  const maker = rewriter.soleMaker(node.inputs[0]);
  if (!maker) return;
  const made = (isSame ? withRelu(maker, table) : undefined) ?? withTable(maker, table, to, rewriter);
  if (!made) return;
  rewriter.remove(maker);
  rewriter.replace(node, { ...made, outputs: node.outputs });
}

/** The convolution with a ReLU, if the table is one. */
function withRelu(maker: GraphNode, { data }: GraphTensor): GraphNode | undefined {
  const zeroPoint = maker.attributes.outputZeroPoint as number;
  const isRelu = (data as Uint8Array).every((value, q) => value === Math.max(q, zeroPoint));
  if (!isRelu || tablePlaces[maker.op] !== 4 || maker.inputs.length > 4) return undefined;
  return { ...maker, activation: { kind: 'relu' } };
}

/** The node with the table appended to its own. */
function withTable(maker: GraphNode, table: GraphTensor, to: Scale, rewriter: Rewriter): GraphNode | undefined {
  const place = tablePlaces[maker.op];
  if (place === undefined || maker.attributes.outputScale === undefined) return undefined;
  const own = rewriter.tensor(maker.inputs[place]);
  const both = own ? tensorOf('uint8', [256], composed(own, table)) : table;
  const inputs = [...maker.inputs.slice(0, place), rewriter.addTensor(`${maker.name}/table`, both)];
  const prefix = maker.op === 'quantizedTable' ? 'output' : 'table';
  return { ...maker, inputs, attributes: { ...maker.attributes, ...named(prefix, to) } };
}

function composed(first: GraphTensor, second: GraphTensor): Uint8Array {
  return Uint8Array.from(first.data as Uint8Array, (q) => second.data[q] as number);
}

/** Which input the table is, by operator. */
const tablePlaces: Readonly<Record<string, number>> = {
  quantizedTable: 1,
  quantizedConv: 4,
  quantizedConvTranspose: 4,
  quantizedBinary: 2,
};

function isIdentity({ data }: GraphTensor): boolean {
  return (data as Uint8Array).every((value, q) => value === q);
}

function fuseImage(node: GraphNode, inputs: ReadonlySet<string>, rewriter: Rewriter): void {
  const bytes = rewriter.soleMaker(node.inputs[0]);
  const [image = ''] = bytes?.inputs ?? [];
  const [count, channels] = rewriter.dims(image) as [number, number];
  const isGiven = inputs.has(image) || isTurned(image, rewriter);
  if (bytes?.op !== 'quantize' || !isGiven || count !== 1 || channels > imageChannels) return;
  if (node.attributes.group !== 1) return;
  rewriter.replace(node, { ...node, inputs: [image, ...node.inputs.slice(1)] });
  rewriter.remove(bytes);
}

/** Whether an image has been transposed, from channels last. So it is row-major, as an input is, unless others read it. */
function isTurned(image: string, rewriter: Rewriter): boolean {
  const maker = rewriter.soleMaker(image);
  return (
    maker?.op === 'transpose' &&
    `${maker.attributes.perm}` === '0,3,1,2' &&
    rewriter.maker(maker.inputs[0])?.op !== 'transpose'
  );
}
