import { describe, describeList } from '../../errors';
import { sizeOf } from '../graph';
import { tensorOf } from '../tensors';
import { Writer } from './builder';
import { defineOp, type OpNode, operand, requiredAttribute, type SketchNode, unfit, unsupported } from './op';

const attributes = { equation: requiredAttribute('text') };

/** Sums of products over axes that letters name, as in NumPy: of one operand, or of two, which becomes a product of matrices. */
export const einsum = defineOp({
  onnx: 'Einsum',
  inputs: [1, 2],
  attributes,
  check: (node) => {
    termsOf(node);
  },
  infer(node) {
    const { terms, result } = termsOf(node);
    const sizes = sizesOf(node, terms);
    return [{ type: operand(node, 0).type, dims: [...result].map((letter) => sizes.get(letter) as number) }];
  },
  writeOut(node, builder) {
    const write = new Writer(node.node, builder);
    const { terms, result } = termsOf(node);
    const [a = '', b] = terms;
    const sizes = sizesOf(node, terms);
    const sizeOfAll = (letters: string): number => sizeOf([...letters].map((letter) => sizes.get(letter) as number));
    const reshaped = (name: string, dims: readonly number[]): string =>
      write.add('reshape', [name, write.tensor(tensorOf('int64', [dims.length], dims))], { allowzero: 0 });
    // Without the axes that only this operand has and the result has not, in the order of `letters`.
    const prepared = (index: number, term: string, letters: string): string => {
      const name = node.node.inputs[index] ?? '';
      const summed = [...term].flatMap((letter, axis) => (letters.includes(letter) ? [] : [axis]));
      const along = write.tensor(tensorOf('int64', [summed.length], summed));
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
      return write.last('transpose', [prepared(0, a, kept)], permutation(kept));
    }
    const batch = shared(shared(a, b), result);
    const summed = own(shared(a, b), result);
    const [rows, columns] = [own(shared(a, result), b), own(shared(b, result), a)];
    const [n, m, k, l] = [batch, rows, summed, columns].map(sizeOfAll) as [number, number, number, number];
    const product = write.add('matMul', [
      reshaped(prepared(0, a, batch + rows + summed), [n, m, k]),
      reshaped(prepared(1, b, batch + summed + columns), [n, k, l]),
    ]);
    const letters = batch + rows + columns;
    const dims = [...letters].map((letter) => sizes.get(letter) as number);
    return write.last('transpose', [reshaped(product, dims)], permutation(letters));
  },
});

/** The letters of each operand and of the result. */
function termsOf(node: SketchNode<typeof attributes> | OpNode<typeof attributes>): { terms: string[]; result: string } {
  const equation = node.attributes.equation.replaceAll(' ', '');
  const [left = '', right] = equation.split('->');
  const terms = left.split(',');
  const all = [...terms, right ?? ''];
  const isPlain = all.every((term) => /^[A-Za-z]*$/.test(term) && new Set(term).size === term.length);
  if (!isPlain || terms.length > 2)
    throw unsupported(node, 'an equation of one or two operands, each letter once in each', describe(equation));
  if (terms.length !== node.inputs.length || [...(right ?? '')].some((letter) => !left.includes(letter)))
    throw unfit(node, `an equation for ${node.inputs.length} operands`, describe(equation));
  // Without an arrow: the letters that appear once, in alphabetical order.
  const once = [...terms.join('')].filter((letter, _, letters) => letters.filter((l) => l === letter).length === 1);
  return { terms, result: right ?? once.sort().join('') };
}

function sizesOf(node: OpNode, terms: readonly string[]): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  terms.forEach((term, i) => {
    const { dims } = operand(node, i);
    if (dims.length !== term.length) throw unfit(node, `${term.length} axes for ${describe(term)}`, describeList(dims));
    [...term].forEach((letter, axis) => {
      const size = dims[axis] as number;
      if ((sizes.get(letter) ?? size) !== size)
        throw unfit(node, `axis ${describe(letter)} of ${sizes.get(letter)}`, describe(size));
      sizes.set(letter, size);
    });
  });
  return sizes;
}
