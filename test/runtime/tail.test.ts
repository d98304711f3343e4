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
