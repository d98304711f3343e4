import { describe, describeList } from '../../errors';
import { sizeOf } from '../graph';
import { Writer } from './builder';
import { defineOp, type OpNode, operand, requiredAttribute, type SketchNode, unfit, unsupported } from './op';

const attributes = { equation: requiredAttribute('text') };

/** Sums of products over axes that letters name, as in NumPy: of one operand, or of two, which becomes a product of matrices. */
export const einsum = defineOp({
  onnx: 'Einsum',
  inputs: [1, 2],
  attributes,
  check: (node) => {
    parsed(node);
  },
  infer(node) {
    const { terms, result } = termsOf(node);
    const sizes = sizesOf(node, terms);
    return [{ type: operand(node, 0).type, dims: [...result].map((letter) => sizes.get(letter) as number) }];
  },
  writeOut(node, builder) {
    const write = new Writer(node.node, builder);
    const { terms, result } = termsOf(node);
    const sizes = sizesOf(node, terms);
    // An operand whose axis is stretched is the same along all of it.
    const isWhole = (i: number, letter: string, axis: number) => operand(node, i).dims[axis] === sizes.get(letter);
    const [a = '', b] = terms.map((term, i) => [...term].filter((letter, axis) => isWhole(i, letter, axis)).join(''));
    const sizeOfAll = (letters: string): number => sizeOf([...letters].map((letter) => sizes.get(letter) as number));
    // Without the axes that only this operand has and the result has not, in the order of `letters`.
    const prepared = (index: number, letters: string): string => {
      const name = node.node.inputs[index] ?? '';
      const term = terms[index] as string;
      const summed = [...term].flatMap((letter, axis) => (letters.includes(letter) ? [] : [axis]));
      const along = write.integers(summed);
      const sums =
        summed.length > 0 ? write.add('reduceSum', [name, along], { keepdims: 0, noop_with_empty_axes: 0 }) : name;
      const left = [...term].filter((letter) => letters.includes(letter));
      return write.add('transpose', [sums], { perm: [...letters].map((letter) => left.indexOf(letter)) });
    };
    const permutation = (letters: string): { perm: number[] } => ({
      perm: [...result].map((letter) => letters.indexOf(letter)),
    });
    const shared = (letters: string, other: string): string => [...letters].filter((l) => other.includes(l)).join('');
    const own = (letters: string, other: string): string => [...letters].filter((l) => !other.includes(l)).join('');
    if (b === undefined) {
      const kept = shared(a, result);
      return write.last('transpose', [prepared(0, kept)], permutation(kept));
    }
    const batch = shared(shared(a, b), result);
    const summed = own(shared(a, b), result);
    const [rows, columns] = [own(shared(a, result), b), own(shared(b, result), a)];
    const [n, m, k, l] = [batch, rows, summed, columns].map(sizeOfAll) as [number, number, number, number];
    const product = write.add('matMul', [
      write.reshape(prepared(0, batch + rows + summed), [n, m, k]),
      write.reshape(prepared(1, batch + summed + columns), [n, k, l]),
    ]);
    const letters = batch + rows + columns;
    const dims = [...letters].map((letter) => sizes.get(letter) as number);
    return write.last('transpose', [write.reshape(product, dims)], permutation(letters));
  },
});

interface Equation {
  /** The letters of each operand. */
  readonly terms: readonly string[];
  readonly result: string;
}

/** The equation, in which an ellipsis stands for any number of axes. */
function parsed(node: SketchNode<typeof attributes> | OpNode<typeof attributes>): Equation {
  const equation = node.attributes.equation.replaceAll(' ', '').replaceAll('...', ellipsis);
  const [left = '', right] = equation.split('->');
  const terms = left.split(',');
  const all = [...terms, right ?? ''];
  const isPlain = all.every((term) => /^[A-Za-z…]*$/.test(term) && new Set(term).size === term.length);
  const isDropped = right !== undefined && left.includes(ellipsis) && !right.includes(ellipsis);
  if (!isPlain || isDropped || terms.length > 2) {
    const expected = 'an equation of one or two operands, each letter once in each';
    throw unsupported(node, expected, describe(node.attributes.equation));
  }
  if (terms.length !== node.inputs.length || [...(right ?? '')].some((letter) => !left.includes(letter)))
    throw unfit(node, `an equation for ${node.inputs.length} operands`, describe(node.attributes.equation));
  // Without an arrow: the axes of an ellipsis, and the letters that appear once, in alphabetical order.
  const once = [...terms.join('')].filter((letter, _, letters) => letters.filter((l) => l === letter).length === 1);
  const implied = once.filter((letter) => letter !== ellipsis).sort();
  return { terms, result: right ?? (left.includes(ellipsis) ? ellipsis : '') + implied.join('') };
}

/** One character, as letters are. */
const ellipsis = '…';

/** The equation with a letter for each axis that an ellipsis stands for: they are numbered from the last one. */
function termsOf(node: OpNode<typeof attributes>): Equation {
  const { terms, result } = parsed(node);
  const counts = terms.map((term, i) => (term.includes(ellipsis) ? operand(node, i).dims.length - term.length + 1 : 0));
  const axes = (count: number): string =>
    Array.from({ length: Math.max(0, count) }, (_, i) => String.fromCodePoint(firstAxis + count - i)).join('');
  return {
    terms: terms.map((term, i) => term.replace(ellipsis, axes(counts[i] as number))),
    result: result.replace(ellipsis, axes(Math.max(...counts))),
  };
}

/** Letters of the axes of an ellipsis lie behind those of equations. */
const firstAxis = 0x100;

function sizesOf(node: OpNode, terms: readonly string[]): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  terms.forEach((term, i) => {
    const { dims } = operand(node, i);
    if (dims.length !== term.length) throw unfit(node, `${term.length} axes for ${describe(term)}`, describeList(dims));
    [...term].forEach((letter, axis) => {
      const [size, known] = [dims[axis] as number, sizes.get(letter)];
      const isOfEllipsis = (letter.codePointAt(0) as number) > firstAxis;
      if (isOfEllipsis && size === 1 && known !== undefined) return;
      if (known !== undefined && known !== size && !(isOfEllipsis && known === 1))
        throw unfit(node, `axis ${describe(letter)} of ${known}`, describe(size));
      sizes.set(letter, size);
    });
  });
  return sizes;
}
