import { InferenceSession, importOnnx, type Model } from '../../lib';
import { type ModelSketch, onnxFile } from '../support/onnx-files';
import { expectRejection } from '../support/refusal';

/** As detectors end: what is left of the boxes, with their scores, after a step that the engine takes. */
const sketch: ModelSketch = {
  inputs: { boxes: [1, 'n', 4], logits: [1, 2, 'n'] },
  outputs: ['scores', 'selected', 'kept'],
  tensors: { most: [[1], [10]], overlap: [[1], [0.5]], least: [[1], [0.4]] },
  integers: { columns: [0, 2], zero: [0] },
  nodes: [
    ['Sigmoid', ['logits'], ['scores']],
    ['Cast', ['most'], ['count'], { to: 7 }],
    ['NonMaxSuppression', ['boxes', 'scores', 'count', 'overlap', 'least'], ['selected']],
    ['Gather', ['selected', 'columns'], ['places'], { axis: 1 }],
    ['GatherND', ['boxes', 'places'], ['found']],
    ['Shape', ['found'], ['dims']],
    ['Reshape', ['found', 'dims'], ['kept']],
  ],
};
const box = (x: number, y: number) => [y, x, y + 10, x + 10];
const far = -9;

async function run(boxes: number[][], logits: number[], more: Partial<ModelSketch> = {}) {
  const session = await InferenceSession.create(onnxFile({ ...sketch, ...more }));
  const n = boxes.length;
  const { scores, selected, kept } = await session.run({
    boxes: { data: Float32Array.from(boxes.flat()), dims: [1, n, 4] },
    logits: { data: Float32Array.from(logits), dims: [1, 2, n] },
  });
  session.dispose();
  const rows = Array.from({ length: selected?.dims[0] ?? 0 }, (_, i) =>
    Array.from(selected?.data ?? [], Number).slice(3 * i, 3 * i + 3),
  );
  return { scores, rows, selected, kept };
}

test('boxes that do not overlap with better ones stay, class by class, the best first', async () => {
  const { rows, kept, scores } = await run([box(0, 0), box(1, 1), box(40, 40)], [1, 2, 3, far, far, 0]);
  expect(rows).toEqual([
    [0, 0, 2],
    [0, 0, 1],
    [0, 1, 2],
  ]);
  expect(kept?.dims).toEqual([3, 4]);
  expect(Array.from(kept?.data ?? [], Number).slice(4, 8)).toEqual(box(1, 1));
  expect(scores?.dims).toEqual([1, 2, 3]);
});

test('where nothing is left, results are empty', async () => {
  const { selected, kept } = await run([box(0, 0)], [far, far]);
  expect([selected?.dims, kept?.dims, kept?.data.length]).toEqual([[0, 3], [0, 4], 0]);
});

test('sessions and models say what they can of such a graph', async () => {
  const model = await importOnnx<Model>(onnxFile(sketch));
  const { nodes } = model.summary({ inputs: { boxes: [1, 5, 4], logits: [1, 2, 5] } });
  expect(nodes.map(({ op, output }) => [op, output.length])).toEqual([
    ['Sigmoid', 3],
    ['NonMaxSuppression', 0],
    ['Gather', 0],
    ['GatherND', 0],
    ['Shape', 0],
    ['Reshape', 0],
  ]);
});

describe('refused', () => {
  test('boxes and scores that do not fit', async () => {
    const nodes = sketch.nodes.map((node) =>
      node[0] === 'NonMaxSuppression'
        ? (['NonMaxSuppression', ['scores', 'boxes', 'count'], ['selected']] as const)
        : node,
    );
    await expectRejection(run([box(0, 0)], [1, 1], { nodes }), 'ERR_SHAPE', 'node "selected" (NonMaxSuppression)');
  });

  test('operators behind it that only the engine has', async () => {
    const nodes = [...sketch.nodes.slice(0, 5), ['Softmax', ['found'], ['kept']] as const];
    await expectRejection(run([box(0, 0)], [1, 1], { nodes }), 'ERR_MODEL_INCOMPATIBLE', 'node "kept" (Softmax)');
  });
});

/** As detectors without boxes end: the features of all places with a score above a limit. */
const places: ModelSketch = {
  inputs: { x: ['n', 2, 'h', 'w'] },
  outputs: ['at', 'found'],
  tensors: {
    k: [
      [2, 2, 1, 1],
      [1, 0, 0, 1],
    ],
    limit: [[1], [0.5]],
  },
  integers: { zero: [0], axis: [1] },
  nodes: [
    ['Conv', ['x', 'k'], ['c']],
    ['Gather', ['c', 'zero'], ['first'], { axis: 1 }],
    ['Squeeze', ['first', 'axis'], ['scores']],
    ['Greater', ['scores', 'limit'], ['above']],
    ['NonZero', ['above'], ['positions']],
    ['Transpose', ['positions'], ['at'], { perm: [1, 0] }],
    ['Transpose', ['c'], ['last'], { perm: [0, 2, 3, 1] }],
    ['GatherND', ['last', 'at'], ['found']],
  ],
};

test('positions of numbers that are computed are found after the rest', async () => {
  const session = await InferenceSession.create(onnxFile(places));
  const x = { data: Float32Array.of(0, 1, 2, 0, 5, 6, 7, 8), dims: [1, 2, 2, 2] };
  const { at, found } = await session.run({ x });
  expect([at?.dims, Array.from(at?.data ?? [], Number)]).toEqual([
    [2, 3],
    [0, 0, 1, 0, 1, 0],
  ]);
  expect([found?.dims, Array.from(found?.data ?? [], Number)]).toEqual([
    [2, 2],
    [1, 6, 2, 7],
  ]);
  session.dispose();
});

test('all nodes behind NonZero that cannot be computed there are named when the file is read', async () => {
  const nodes: ModelSketch['nodes'] = [
    ...places.nodes,
    ['Softmax', ['found'], ['soft']],
    ['CumSum', ['soft', 'zero'], ['sums']],
    ['Neg', ['sums'], ['y']],
  ];
  const promise = InferenceSession.create(onnxFile({ ...places, outputs: ['y'], nodes }));
  await expectRejection(promise, 'ERR_MODEL_INCOMPATIBLE', 'received 2 that are not: "soft" (Softmax');
});

test('the best of what is left are chosen behind it', async () => {
  const nodes: ModelSketch['nodes'] = [
    ...sketch.nodes.slice(0, 3),
    ['GatherND', ['scores', 'selected'], ['found']],
    ['TopK', ['found', 'two'], ['best', 'at'], { axis: 0 }],
    ['TopK', ['found', 'two'], ['worst', 'where'], { axis: 0, largest: 0 }],
  ];
  const integers = { two: [2] };
  const file = onnxFile({ ...sketch, integers, outputs: ['found', 'best', 'at', 'worst', 'where'], nodes });
  const session = await InferenceSession.create(file);
  const boxes = [box(0, 0), box(20, 20), box(40, 40)];
  const results = await session.run({
    boxes: { data: Float32Array.from(boxes.flat()), dims: [1, 3, 4] },
    logits: { data: Float32Array.of(1, 3, 2, far, 0, far), dims: [1, 2, 3] },
  });
  session.dispose();
  const [found, best, at, least, where] = ['found', 'best', 'at', 'worst', 'where'].map((name) =>
    Array.from(results[name]?.data ?? [], Number),
  );
  expect(found).toHaveLength(4);
  const sorted = [...(found as number[])].sort((a, b) => b - a);
  expect([best, least]).toEqual([sorted.slice(0, 2), sorted.slice(2).reverse()]);
  expect([at, where].map((list) => list?.map((i) => (found as number[])[i]))).toEqual([best, least]);
});
