import type { Graph, GraphNode } from '../graph';
import { reducedAxes } from '../ops/reduce';
import { nodeOf, Rewriter } from '../rewriter';
import { listOf } from '../tensors';
import { permutationOf } from './move-transposes';
import { removeDead } from './remove-dead';

/**
 * Finds normalizations that exporters write as several nodes, (x - mean) / sqrt(variance + epsilon), and writes each as one, together
 * with the product and the sum behind it. Values that are normalized along other axes than the last ones, such as images along
 * their channels, are transposed before and after: images have their channels last in memory.
 */
export function findNorms(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  let isFound = false;
  for (const node of rewriter.nodes('div', 'mul')) {
    const norm = normOf(node, rewriter);
    if (norm) write(node, norm, rewriter);
    isFound ||= norm !== undefined;
  }
  return isFound ? removeDead(rewriter.finish()) : graph;
}

/** A value minus its mean along some axes. */
interface Centred {
  readonly source: string;
  /** Axes of the centred value, which is the transpose of a centred source if there is a `perm`. */
  readonly axes: readonly number[];
  readonly perm?: readonly number[];
}

interface Norm extends Centred {
  readonly epsilon: number;
}

function normOf(node: GraphNode, rewriter: Rewriter): Norm | undefined {
  const [dividend, divisor] = quotientOf(node, rewriter) ?? [];
  const sum = makerOf(makerOf(divisor, 'sqrt', rewriter)?.inputs[0], 'add', rewriter);
  const variance = sum && numberAnd(sum, rewriter);
  const centred = centredOf(dividend, rewriter);
  if (!variance || !centred) return undefined;
  const squares = meanOf(variance.value, rewriter);
  const square = squares && squareOf(squares.source, rewriter);
  const isIt = square === dividend || isSame(centredOf(square, rewriter), centred);
  return isIt && `${squares?.axes}` === `${centred.axes}` ? { ...centred, epsilon: variance.number } : undefined;
}

/** Dividend and divisor of a quotient, which may be a product with a reciprocal. */
function quotientOf(node: GraphNode, rewriter: Rewriter): readonly [string, string] | undefined {
  const [a = '', b = ''] = node.inputs;
  if (node.activation) return undefined;
  if (node.op === 'div') return [a, b];
  for (const [x, factor] of [
    [a, b],
    [b, a],
  ] as const) {
    const reciprocal = makerOf(factor, 'reciprocal', rewriter);
    if (reciprocal) return [x, reciprocal.inputs[0] as string];
  }
  return undefined;
}

function centredOf(name: string | undefined, rewriter: Rewriter): Centred | undefined {
  const transpose = makerOf(name, 'transpose', rewriter);
  if (transpose) {
    const inner = centredOf(transpose.inputs[0], rewriter);
    const perm = permutationOf(transpose, rewriter);
    return inner && !inner.perm
      ? { ...inner, perm, axes: sorted(inner.axes.map((axis) => perm.indexOf(axis))) }
      : undefined;
  }
  const [source, other] = makerOf(name, 'sub', rewriter)?.inputs ?? [];
  const mean = meanOf(other, rewriter);
  return mean && mean.source === source ? mean : undefined;
}

/** What a value is the mean of, and along which axes, if it keeps them. */
function meanOf(name: string | undefined, rewriter: Rewriter): Centred | undefined {
  const mean = makerOf(name, 'reduceMean', rewriter);
  if (!mean || mean.attributes.keepdims === 0) return undefined;
  const axes = reducedAxes(rewriter.view(mean) as never);
  return axes.length > 0 ? { source: mean.inputs[0] as string, axes } : undefined;
}

/** The value whose square this is. */
function squareOf(name: string, rewriter: Rewriter): string | undefined {
  const [base, factor] = makerOf(name, 'mul', rewriter)?.inputs ?? [];
  if (base !== undefined && base === factor) return base;
  const power = makerOf(name, 'pow', rewriter);
  const exponent = rewriter.tensor(power?.inputs[1]);
  return exponent?.data.length === 1 && listOf(exponent)[0] === 2 ? power?.inputs[0] : undefined;
}

function isSame(a: Centred | undefined, b: Centred): boolean {
  return a?.source === b.source && `${a.axes}` === `${b.axes}` && `${a.perm}` === `${b.perm}`;
}

function makerOf(name: string | undefined, op: string, rewriter: Rewriter): GraphNode | undefined {
  const maker = rewriter.maker(name);
  return maker?.op === op && !maker.activation ? maker : undefined;
}

/** The operands of a sum of a value and a number. */
function numberAnd({ inputs }: GraphNode, rewriter: Rewriter): { value: string; number: number } | undefined {
  for (const [value, other] of [inputs, [...inputs].reverse()] as [string, string][]) {
    const tensor = rewriter.tensor(other);
    if (tensor?.data.length === 1) return { value, number: listOf(tensor)[0] as number };
  }
  return undefined;
}

function write(node: GraphNode, { source, perm, axes, epsilon }: Norm, rewriter: Rewriter): void {
  const others = rewriter.dims(node.outputs[0]).flatMap((_, axis) => (axes.includes(axis) ? [] : [axis]));
  const axis = others.length;
  const areLast = others.every((other) => other < axis);
  // A constant has a number for each place along the axes, or one for each index of the axis before: of each channel.
  const forms = [axes, ...(areLast && axis > 0 ? [[axis - 1]] : [])].map((along) => affineAfter(node, along, rewriter));
  const channels = forms[0]?.inputs.length === 0 && forms[1] ? 1 : 0;
  const { last, inputs } = forms[channels] as Affine;
  const x = perm ? rewriter.compute(last, 'transpose', [source], { perm }) : source;
  const form = { axis, epsilon, channels: inputs.length > 0 ? channels : 0 };
  if (areLast) {
    rewriter.replace(last, nodeOf(last, 'normalize', [x, ...inputs], form));
    return;
  }
  const order = [...others, ...axes];
  const turned = rewriter.compute(last, 'transpose', [x], { perm: order });
  const normal = rewriter.compute(last, 'normalize', [turned, ...inputs], form);
  rewriter.replace(last, nodeOf(last, 'transpose', [normal], { perm: order.map((_, at) => order.indexOf(at)) }));
}

/** The product with a constant and the sum with one that follow a node. */
interface Affine {
  readonly last: GraphNode;
  readonly inputs: readonly string[];
}

function affineAfter(node: GraphNode, along: readonly number[], rewriter: Rewriter): Affine {
  const [scaled, scale = ''] = following(node, 'mul', along, rewriter) ?? [node];
  const [last, shift = ''] = following(scaled, 'add', along, rewriter) ?? [scaled];
  return { last, inputs: shift ? [scale, shift] : scale ? [scale] : [] };
}

/** The only reader of a node, if it has this operator and a constant that varies along these axes alone. */
function following(
  { outputs: [output = ''] }: GraphNode,
  op: string,
  along: readonly number[],
  rewriter: Rewriter,
): readonly [GraphNode, string] | undefined {
  const [reader] = rewriter.readers(output);
  if (reader?.op !== op || reader.activation || !rewriter.isReadOnce(output)) return undefined;
  const other = reader.inputs.find((name) => name !== output) as string;
  const dims = rewriter.dims(output);
  const tensor = rewriter.tensor(other);
  const before = dims.length - (tensor?.dims.length ?? 0);
  const fits = before >= 0 && dims.every((dim, i) => (tensor?.dims[i - before] ?? 1) === (along.includes(i) ? dim : 1));
  return tensor && fits ? [reader, other] : undefined;
}

function sorted(numbers: readonly number[]): number[] {
  return [...numbers].sort((a, b) => a - b);
}
