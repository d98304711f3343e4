import { InferenceSession, randn } from '../../lib';
import { type ModelSketch, type NodeSketch, onnxFile } from '../support/onnx-files';
import { expectRejection } from '../support/refusal';

type Feeds = Parameters<InferenceSession['run']>[0];

async function run(sketch: ModelSketch, feeds: Feeds) {
  const session = await InferenceSession.create(onnxFile(sketch), { threads: 1, algorithm: 'gemm' });
  const { y } = await session.run(feeds);
  session.dispose();
  return { dims: y?.dims, data: Array.from(y?.data ?? [], Number) };
}

const onX = (nodes: readonly NodeSketch[], dims: readonly number[], more: Partial<ModelSketch> = {}): ModelSketch => ({
  inputs: { x: dims },
  outputs: ['y'],
  nodes,
  ...more,
});
const floats = (dims: number[], values: number[]) => ({ data: Float32Array.from(values), dims });
const create = (sketch: ModelSketch) => InferenceSession.create(onnxFile(sketch));

test('GatherElements takes the element at each position; positions outside read zeros', async () => {
  const sketch: ModelSketch = {
    inputs: { x: [2, 3], k: [2, 2] },
    types: { k: 'int64' },
    outputs: ['y'],
    nodes: [['GatherElements', ['x', 'k'], ['y'], { axis: 1 }]],
  };
  const k = { data: BigInt64Array.of(2n, -3n, 3n, -4n), dims: [2, 2] };
  expect(await run(sketch, { x: floats([2, 3], [1, 2, 3, 4, 5, 6]), k })).toEqual({ dims: [2, 2], data: [3, 1, 0, 0] });
});

test.each([0, 1, 2])('GatherElements at the maxima along axis %d gives the maxima', async (axis) => {
  const x = randn([3, 4, 5], { seed: axis });
  const nodes: NodeSketch[] = [
    ['ArgMax', ['x'], ['at'], { axis }],
    ['GatherElements', ['x', 'at'], ['y'], { axis }],
  ];
  const integers = { axes: [axis] };
  const maxima = onX([['ReduceMax', ['x', 'axes'], ['y']]], x.dims, { integers });
  expect(await run(onX(nodes, x.dims), { x })).toEqual(await run(maxima, { x }));
});

test('ScatterND and ScatterElements write updates to constant positions', async () => {
  const x = floats([1, 4], [1, 2, 3, 4]);
  const doubled: NodeSketch = ['Add', ['x', 'x'], ['twice']];
  const integers = { starts: [0], ends: [2], axes: [1] };
  const nd = onX(
    [doubled, ['Slice', ['twice', 'starts', 'ends', 'axes'], ['u']], ['ScatterND', ['x', 'lists', 'flat'], ['y']]],
    [1, 4],
    { integers: { ...integers, shape: [2] }, bytes: { lists: ['int32', [2, 2], [0, 3, 0, -3]] } },
  );
  const nodes = [...nd.nodes.slice(0, 2), ['Reshape', ['u', 'shape'], ['flat']] as const, ...nd.nodes.slice(2)];
  expect((await run({ ...nd, nodes }, { x })).data).toEqual([1, 4, 3, 2]);
  const elements: NodeSketch = ['ScatterElements', ['x', 'at', 'u'], ['y'], { axis: 1 }];
  const bytes = { at: ['int32', [1, 2], [-1, 0]] } as const;
  expect((await run(onX([...nd.nodes.slice(0, 2), elements], [1, 4], { integers, bytes }), { x })).data).toEqual([
    4, 2, 3, 2,
  ]);
});

test('OneHot, of computed positions too, and Trilu', async () => {
  const tensors = { values: [[2], [0.5, 2]] } as const;
  const nodes: NodeSketch[] = [
    ['ArgMax', ['x'], ['at'], { axis: 1, keepdims: 0 }],
    ['OneHot', ['at', 'depth', 'values'], ['y'], { axis: 0 }],
  ];
  const one = onX(nodes, [2, 3], { tensors, integers: { depth: [3] } });
  const { dims, data } = await run(one, { x: floats([2, 3], [1, 3, 2, 6, 5, 4]) });
  expect(dims).toEqual([3, 2]);
  expect(data).toEqual([0.5, 2, 2, 0.5, 0.5, 0.5]);
  const ones = floats([2, 3], [1, 1, 1, 1, 1, 1]);
  expect((await run(onX([['Trilu', ['x'], ['y']]], [2, 3]), { x: ones })).data).toEqual([1, 1, 1, 0, 1, 1]);
  const lower = onX([['Trilu', ['x', 'k'], ['y'], { upper: 0 }]], [2, 3], { integers: { k: [-1] } });
  expect((await run(lower, { x: ones })).data).toEqual([0, 0, 0, 1, 0, 0]);
});

/** Einsum as its definition says: a sum over all values of the letters. */
function sumsOf(equation: string, operands: readonly { dims: readonly number[]; data: ArrayLike<number> }[]) {
  const [left = '', result = ''] = equation.split('->');
  const terms = left.split(',');
  const sizes = new Map<string, number>();
  terms.forEach((term, i) => {
    for (const [axis, letter] of [...term].entries()) sizes.set(letter, operands[i]?.dims[axis] as number);
  });
  const offset = (term: string, at: Map<string, number>) =>
    [...term].reduce((sum, letter) => sum * (sizes.get(letter) as number) + (at.get(letter) as number), 0);
  const sums = new Array([...result].reduce((size, letter) => size * (sizes.get(letter) as number), 1)).fill(0);
  const visit = (letters: string[], at: Map<string, number>): void => {
    const [letter, ...rest] = letters;
    if (letter === undefined) {
      sums[offset(result, at)] += terms.reduce((p, term, i) => p * (operands[i]?.data[offset(term, at)] as number), 1);
      return;
    }
    for (let i = 0; i < (sizes.get(letter) as number); i++) visit(rest, new Map([...at, [letter, i]]));
  };
  visit([...sizes.keys()], new Map());
  return sums;
}

test.each([
  ['nchw,cd->ndhw', [2, 3, 2, 2], [3, 4]],
  ['bchw,bdhw->bcd', [2, 3, 2, 2], [2, 4, 2, 2]],
  ['nchw,nc->nhw', [2, 3, 2, 2], [2, 3]],
  ['ij,kj->ki', [2, 3], [4, 3]],
  ['abc,cd->db', [2, 3, 4], [4, 2]],
  ['i,j->ji', [2], [3]],
  ['ab,ab->', [2, 3], [2, 3]],
  // With axes that an ellipsis stands for, and the same equation in letters.
  ['...ij,...jk->...ik', [2, 2, 3, 4], [2, 2, 4, 5], 'abij,abjk->abik'],
  ['...ij,jk->...ki', [2, 2, 3, 4], [4, 5], 'abij,jk->abki'],
  ['i...,j...', [2, 3], [4, 3], 'ia,ja->aij'],
  ['...ij,...jk->...ik', [2, 1, 3, 4], [5, 4, 2], 'acij,bjk->abik'],
])('Einsum %s', async (equation, a, b, inLetters = equation) => {
  const [x, z] = [randn(a, { seed: 1 }), randn(b, { seed: 2 })];
  const sketch: ModelSketch = {
    inputs: { x: a, z: b },
    outputs: ['y'],
    nodes: [['Einsum', ['x', 'z'], ['y'], { equation }]],
  };
  const { data } = await run(sketch, { x, z });
  sumsOf(inLetters, [x, z]).forEach((sum, i) => {
    expect(data[i]).toBeCloseTo(sum, 4);
  });
});

test('LRN divides by the squares of neighbouring channels', async () => {
  const [channels, size, alpha, beta, bias] = [5, 3, 0.5, 0.75, 1.5];
  const x = randn([2, channels, 2, 2]);
  const node: NodeSketch = ['LRN', ['x'], ['y'], { size, alpha, beta, bias }];
  const { data } = await run(onX([node], x.dims), { x });
  data.forEach((value, i) => {
    const channel = Math.floor(i / 4) % channels;
    const near = [-1, 0, 1].filter((step) => channel + step >= 0 && channel + step < channels);
    const squares = near.reduce((sum, step) => sum + (x.data[i + 4 * step] as number) ** 2, 0);
    expect(value).toBeCloseTo((x.data[i] as number) / (bias + (alpha / size) * squares) ** beta, 5);
  });
});

test.each<[string, NodeSketch, string]>([
  ['a diagonal', ['Einsum', ['x'], ['y'], { equation: 'ii->i' }], 'each letter once in each, received "ii->i"'],
  ['unnamed axes', ['Einsum', ['x'], ['y'], { equation: '...i->i' }], 'received "...i->i"'],
  ['sums', ['ScatterND', ['x', 'k', 'x'], ['y'], { reduction: 'add' }], 'expected reduction none, received "add"'],
])('%s: the operator is refused', async (_, node, message) => {
  await expectRejection(create(onX([node], [2, 2], { integers: { k: [0, 1] } })), 'ERR_MODEL_INCOMPATIBLE', message);
});

test('positions to write to that are computed from data are refused', async () => {
  const nodes: NodeSketch[] = [
    ['ArgMax', ['x'], ['at'], { axis: 1 }],
    ['ScatterElements', ['x', 'at', 'x'], ['y'], { axis: 1 }],
  ];
  await expectRejection(
    create(onX(nodes, [2, 1])),
    'ERR_MODEL_INCOMPATIBLE',
    'received one that is computed from data',
  );
});
