import type { Graph, GraphNode } from '../graph';
import { clipBounds } from '../ops/clip';
import { nodeOf, Rewriter } from '../rewriter';
import { listOf } from '../tensors';

/**
 * Finds activations that exporters write as several nodes: SiLU as x * sigmoid(x), hard sigmoid as clip(x + 3, 0, 6) / 6, hard
 * swish as x times that, with the division before or after, GELU as x / 2 * (1 + erf(x / sqrt 2)), leaky ReLU as max(x, a * x), ReLU
 * as a clip from 0.
 */
export function findActivations(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  for (const node of rewriter.nodes('clip', 'mul', 'div', 'max')) {
    for (const find of [relu, hardSigmoid, gate, lateDivision, gelu, leakyRelu]) {
      const found = node.activation ? undefined : find(node, rewriter);
      if (!found) continue;
      rewriter.replace(node, found);
      break;
    }
  }
  return rewriter.finish();
}

type Finder = (node: GraphNode, rewriter: Rewriter) => GraphNode | undefined;

const relu: Finder = (node, rewriter) => {
  if (node.op !== 'clip' || node.inputs.slice(1).some((name) => name !== '' && !rewriter.tensor(name)))
    return undefined;
  const { low, high } = clipBounds(rewriter.view(node));
  return low === 0 && high === Number.POSITIVE_INFINITY ? nodeOf(node, 'relu', node.inputs.slice(0, 1)) : undefined;
};

/** clip(x + 3, 0, 6) / 6 */
const hardSigmoid: Finder = (node, rewriter) => {
  const [clip, factor] = factorOf(node, rewriter);
  const input = isSixth(factor) ? shiftedByThree(clip, rewriter) : undefined;
  return input === undefined ? undefined : nodeOf(node, 'hardSigmoid', [input], { alpha: 1 / 6, beta: 0.5 });
};

/** x * gate(x) */
const gate: Finder = (node, rewriter) => {
  if (node.op !== 'mul') return undefined;
  for (const [x, other] of bothWays(node)) {
    const maker = rewriter.maker(other);
    if (!maker || maker.inputs[0] !== x || maker.activation) continue;
    if (maker.op === 'sigmoid') return nodeOf(node, 'silu', [x]);
    const { alpha, beta } = maker.attributes as { alpha: number; beta: number };
    // The numbers of a file are float32, so a sixth is not exact.
    if (maker.op === 'hardSigmoid' && isSixth(alpha) && beta === 0.5) return nodeOf(node, 'hardSwish', [x]);
  }
  return undefined;
};

/** x * clip(x + 3, 0, 6) / 6 */
const lateDivision: Finder = (node, rewriter) => {
  const [product, factor] = factorOf(node, rewriter);
  const maker = isSixth(factor) ? rewriter.soleMaker(product) : undefined;
  if (maker?.op !== 'mul' || maker.activation) return undefined;
  for (const [x, clip] of bothWays(maker)) {
    if (shiftedByThree(clip, rewriter) === x) return nodeOf(node, 'hardSwish', [x]);
  }
  return undefined;
};

/** x / 2 * (1 + erf(x / sqrt 2)), its factors in any order */
const gelu: Finder = (node, rewriter) => {
  const { number, values } = productOf(node, rewriter);
  const [a = '', b = '', ...others] = values;
  if (number !== 0.5 || others.length > 0) return undefined;
  const x = [a, b].find((name, i) => erfArgument([b, a][i] as string, rewriter) === name);
  return x ? nodeOf(node, 'gelu', [x]) : undefined;
};

/** Returns x if the value is 1 + erf(x / sqrt 2). */
function erfArgument(name: string, rewriter: Rewriter): string | undefined {
  const sum = rewriter.maker(name);
  const erf = sum && rewriter.maker(addendOf(sum, 1, rewriter));
  const scaled = erf?.op === 'erf' && !erf.activation ? rewriter.maker(erf.inputs[0]) : undefined;
  const [x, factor = 0] = scaled ? factorOf(scaled, rewriter) : [];
  // The numbers of a file are float32.
  return Math.abs(factor - Math.SQRT1_2) < 1e-6 ? x : undefined;
}

/** The products that are looked into for factors. */
const maxProducts = 3;

/** The factors of a product whose factors may be products, numbers multiplied. */
function productOf(
  node: GraphNode,
  rewriter: Rewriter,
  depth = maxProducts,
): { readonly number: number; readonly values: readonly string[] } {
  const [x, number = 1] = factorOf(node, rewriter);
  const names = x !== undefined ? [x] : node.op === 'mul' ? node.inputs : [...node.outputs];
  const parts = names.map((name) => {
    const maker = rewriter.soleMaker(name);
    const isProduct = maker && !maker.activation && (maker.op === 'mul' || maker.op === 'div');
    return isProduct && depth > 1 ? productOf(maker, rewriter, depth - 1) : { number: 1, values: [name] };
  });
  return {
    number: parts.reduce((product, part) => product * part.number, number),
    values: parts.flatMap(({ values }) => values),
  };
}

const leakyRelu: Finder = (node, rewriter) => {
  if (node.op !== 'max') return undefined;
  for (const [x, other] of bothWays(node)) {
    const maker = rewriter.maker(other);
    const [source, alpha] = maker ? factorOf(maker, rewriter) : [];
    if (source === x && alpha !== undefined && alpha >= 0 && alpha <= 1)
      return nodeOf(node, 'leakyRelu', [x], { alpha });
  }
  return undefined;
};

/** The operands of a product of a value and a number. */
function factorOf(node: GraphNode, rewriter: Rewriter): readonly [name?: string, factor?: number] {
  if (node.activation || (node.op !== 'mul' && node.op !== 'div')) return [];
  for (const [x, other] of bothWays(node)) {
    const tensor = rewriter.tensor(other);
    if (tensor?.data.length !== 1 || (node.op === 'div' && other !== node.inputs[1])) continue;
    const number = listOf(tensor)[0] as number;
    return [x, node.op === 'div' ? 1 / number : number];
  }
  return [];
}

/** Returns x if the value is clip(x + 3, 0, 6). */
function shiftedByThree(name: string | undefined, rewriter: Rewriter): string | undefined {
  const clip = rewriter.maker(name);
  if (clip?.op !== 'clip' || clip.activation || clip.inputs.slice(1).some((input) => !rewriter.tensor(input)))
    return undefined;
  const { low, high } = clipBounds(rewriter.view(clip));
  const sum = rewriter.maker(clip.inputs[0]);
  return low === 0 && high === 6 && sum ? addendOf(sum, 3, rewriter) : undefined;
}

/** Returns x if the node computes x + number. */
function addendOf(sum: GraphNode, number: number, rewriter: Rewriter): string | undefined {
  if (sum.op !== 'add' || sum.activation) return undefined;
  const [x] = bothWays(sum).find(([, other]) => {
    const tensor = rewriter.tensor(other);
    return tensor?.data.length === 1 && listOf(tensor)[0] === number;
  }) ?? [undefined];
  return x;
}

function isSixth(factor: number | undefined): boolean {
  return factor !== undefined && Math.fround(factor) === Math.fround(1 / 6);
}

function bothWays({ inputs: [a = '', b = ''] }: GraphNode): readonly (readonly [string, string])[] {
  return [
    [a, b],
    [b, a],
  ];
}
