import type { Graph, GraphNode } from '../graph';
import { sizeOf } from '../graph';
import { reducedAxes } from '../ops/reduce';
import { nodeOf, Rewriter } from '../rewriter';
import { listOf } from '../tensors';

/**
 * Finds layer normalizations, which exporters write as several nodes below opset 17: (x - mean) / sqrt(variance + epsilon) over the
 * last axes, times a scale plus a shift.
 */
export function findNormalizations(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  for (const node of rewriter.nodes('div')) {
    const found = normalization(node, rewriter);
    if (!found) continue;
    rewriter.replace(node, found);
    takeScaleAndShift(found, rewriter);
  }
  return rewriter.finish();
}

function normalization(node: GraphNode, rewriter: Rewriter): GraphNode | undefined {
  const [centred = '', deviation] = node.inputs;
  const difference = rewriter.maker(centred);
  if (node.activation || difference?.op !== 'sub' || rewriter.value(centred).type !== 'float32') return undefined;
  const [x = '', mean] = difference.inputs;
  const axis = axisOfMean(mean, x, rewriter);
  const root = rewriter.maker(deviation);
  const sum = root?.op === 'sqrt' ? rewriter.maker(root.inputs[0]) : undefined;
  if (axis === undefined || sum?.op !== 'add') return undefined;
  for (const [variance, other] of [sum.inputs, [...sum.inputs].reverse()]) {
    const epsilon = numberOf(other, rewriter);
    const squares = rewriter.maker(variance)?.inputs[0];
    if (epsilon === undefined || axisOfMean(variance, squares, rewriter) !== axis) continue;
    if (isSquare(squares, centred, rewriter)) return nodeOf(node, 'normalize', [x], { axis, epsilon, channels: 0 });
  }
  return undefined;
}

/** The first of the last axes that a value is the mean over, of `x`. */
function axisOfMean(name: string | undefined, x: string | undefined, rewriter: Rewriter): number | undefined {
  const mean = rewriter.maker(name);
  if (mean?.op !== 'reduceMean' || mean.inputs[0] !== x || !mean.attributes.keepdims) return undefined;
  const axes = reducedAxes(rewriter.view(mean) as Parameters<typeof reducedAxes>[0]);
  const first = rewriter.dims(x).length - axes.length;
  return axes.length > 0 && axes.every((axis) => axis >= first) ? first : undefined;
}

function isSquare(name: string | undefined, x: string, rewriter: Rewriter): boolean {
  const square = rewriter.maker(name);
  if (square?.op === 'mul') return square.inputs.every((input) => input === x);
  return square?.op === 'pow' && square.inputs[0] === x && numberOf(square.inputs[1], rewriter) === 2;
}

function numberOf(name: string | undefined, rewriter: Rewriter): number | undefined {
  const tensor = rewriter.tensor(name);
  return tensor?.data.length === 1 ? (listOf(tensor)[0] as number) : undefined;
}

/** Moves a product and a sum with a number for each element of a line, which follow the node, into it. */
function takeScaleAndShift(normalize: GraphNode, rewriter: Rewriter): void {
  const [x = ''] = normalize.inputs;
  const line = rewriter.dims(x).slice(normalize.attributes.axis as number);
  let node = normalize;
  for (const op of ['mul', 'add']) {
    const [name = ''] = node.outputs;
    const [reader] = rewriter.readers(name);
    if (reader?.op !== op || reader.activation || !rewriter.isReadOnce(name)) return;
    const numbers = reader.inputs.find((input) => input !== name);
    const dims = rewriter.tensor(numbers)?.dims;
    if (dims?.join() !== line.join() || rewriter.tensor(numbers)?.data.length !== sizeOf(line)) return;
    const merged = { ...node, inputs: [...node.inputs, numbers as string], outputs: reader.outputs };
    rewriter.remove(node);
    rewriter.replace(reader, merged);
    node = merged;
  }
}
