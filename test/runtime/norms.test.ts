import { InferenceSession, randn } from '../../lib';
import { relativeL2 } from '../support/compare';
import { type ModelSketch, type NodeSketch, onnxFile } from '../support/onnx-files';
import { expectRejection } from '../support/refusal';

const x = randn([2, 4, 3, 5], { seed: 3 });
const dims = x.dims;

async function run(node: NodeSketch, tensors: NonNullable<ModelSketch['tensors']> = {}, opset = 21) {
  const sketch = { inputs: { x: ['n', 4, 'h', 'w'] }, outputs: ['y'], nodes: [node], tensors, opset };
  const session = await InferenceSession.create(onnxFile(sketch));
  const { y } = await session.run({ x });
  session.dispose();
  expect(y?.dims).toEqual(dims);
  return y?.data as Float32Array;
}

/** Of the channels that a function puts into one group, in one image. */
function grouped(groups: number, scales: readonly number[], biases: readonly number[]): Float32Array {
  const [channels, plane] = [4, 15];
  const length = (channels / groups) * plane;
  return Float32Array.from(x.data, (value, i) => {
    const start = Math.floor(i / length) * length;
    const all = Array.from(x.data.slice(start, start + length));
    const mean = all.reduce((a, b) => a + b) / length;
    const variance = all.reduce((sum, one) => sum + (one - mean) ** 2, 0) / length;
    const channel = Math.floor(i / plane) % channels;
    return ((value - mean) / Math.sqrt(variance + 1e-5)) * (scales[channel] as number) + (biases[channel] as number);
  });
}

test.each([1, 2, 4])('GroupNormalization in %d groups, with numbers for channels', async (groups) => {
  const [scales, biases] = [
    [1, 2, 3, 4],
    [0.5, 0, -1, 2],
  ];
  const y = await run(['GroupNormalization', ['x', 's', 'b'], ['y'], { num_groups: groups }], {
    s: [[4], scales],
    b: [[4], biases],
  });
  expect(relativeL2(y, grouped(groups, scales, biases))).toBeLessThan(1e-5);
});

test('GroupNormalization of opset 18 has numbers for groups', async () => {
  const tensors = { s: [[2], [2, 3]], b: [[2], [0.5, -1]] } as const;
  const y = await run(['GroupNormalization', ['x', 's', 'b'], ['y'], { num_groups: 2 }], tensors, 18);
  expect(relativeL2(y, grouped(2, [2, 2, 3, 3], [0.5, 0.5, -1, -1]))).toBeLessThan(1e-5);
  const odd = run(['GroupNormalization', ['x', 's', 'b'], ['y'], { num_groups: 3 }], tensors, 18);
  await expectRejection(odd, 'ERR_SHAPE', 'channels in 3 groups');
});

test.each([1, 2])('LpNormalization with p %d', async (p) => {
  const y = await run(['LpNormalization', ['x'], ['y'], { axis: -1, p }]);
  const expected = Float32Array.from(x.data, (value, i) => {
    const line = Array.from(x.data.slice(Math.floor(i / 5) * 5, Math.floor(i / 5) * 5 + 5));
    return value / line.reduce((sum, one) => sum + Math.abs(one) ** p, 0) ** (1 / p);
  });
  expect(relativeL2(y, expected)).toBeLessThan(1e-6);
});
