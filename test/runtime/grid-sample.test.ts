import { InferenceSession } from '../../lib';
import { jsonOf } from '../support/child';
import { type ModelSketch, onnxFile } from '../support/onnx-files';
import { expectRejection } from '../support/refusal';

const sketch = (attributes: Record<string, number | string>, dims: readonly number[] = [1, 1, 2, 2]): ModelSketch => ({
  inputs: { x: dims, grid: [1, 1, 3, 2] },
  outputs: ['y'],
  nodes: [['GridSample', ['x', 'grid'], ['y'], attributes]],
  opset: 16,
});

async function sample(attributes: Record<string, number | string>, places: number[]) {
  const session = await InferenceSession.create(onnxFile(sketch(attributes)));
  const x = { data: Float32Array.of(1, 2, 3, 4), dims: [1, 1, 2, 2] };
  const { y } = await session.run({ x, grid: { data: Float32Array.from(places), dims: [1, 1, 3, 2] } });
  session.dispose();
  return Array.from(y?.data ?? [], Number);
}

test('GridSample is that of onnxruntime in every mode', () => {
  const { outputs, worst } = jsonOf<{ outputs: number; worst: number }>(['test/support/grid-samples.mjs']);
  expect(outputs).toBe(2 * 2 * 2 * 2 * 18);
  expect(worst).toBeLessThan(1e-5);
});

test('places are corners or edges of the images', async () => {
  const corners = [-1, -1, 1, 1, 0, 0];
  expect(await sample({ align_corners: 1 }, corners)).toEqual([1, 4, 2.5]);
  expect(await sample({ align_corners: 0 }, corners)).toEqual([0.25, 1, 2.5]);
  expect(await sample({ align_corners: 0, padding_mode: 'border' }, corners)).toEqual([1, 4, 2.5]);
});

test.each(['bilinear', 'nearest', 'bicubic'])(
  '%s reads nothing outside of the images for places without sense',
  async (mode) => {
    const places = [Number.NaN, 0, Number.POSITIVE_INFINITY, -1e30, 1e30, Number.NEGATIVE_INFINITY];
    for (const padding_mode of ['zeros', 'border', 'reflection']) {
      for (const align_corners of [0, 1])
        expect(await sample({ mode, padding_mode, align_corners }, places)).toHaveLength(3);
    }
  },
);

test('the last pixel of more than a float can count is the last that is read', async () => {
  const dims = [1, 1, 1, 2 ** 24 + 4];
  const session = await InferenceSession.create(onnxFile(sketch({ mode: 'nearest', align_corners: 1 }, dims)));
  const x = { data: new Float32Array(2 ** 24 + 4).fill(7), dims };
  const { y } = await session.run({ x, grid: { data: Float32Array.of(-1, 0, 1, 0, 1, 0), dims: [1, 1, 3, 2] } });
  session.dispose();
  expect(Array.from(y?.data ?? [], Number)).toEqual([7, 7, 7]);
});

test('volumes are refused when the file is read', async () => {
  const file = onnxFile(sketch({}, [1, 1, 2, 2, 2]));
  await expectRejection(InferenceSession.create(file), 'ERR_MODEL_INCOMPATIBLE', 'two spatial axes, received 3');
});
