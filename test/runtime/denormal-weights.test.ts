import { InferenceSession, randn } from '../../lib';
import { type NodeSketch, onnxFile } from '../support/onnx-files';

/** [channels, dims of the weight, operator, attributes, side of the images], by the kernel that computes it. */
const convolutions: Readonly<
  Record<string, readonly [number, readonly number[], string, NodeSketch[3] & object, number]>
> = {
  'of an image': [3, [8, 3, 3, 3], 'Conv', { pads: [1, 1, 1, 1] }, 9],
  pointwise: [16, [20, 16, 1, 1], 'Conv', {}, 9],
  'of 3x3 by Winograd': [32, [32, 32, 3, 3], 'Conv', { pads: [1, 1, 1, 1] }, 12],
  depthwise: [24, [24, 1, 3, 3], 'Conv', { pads: [1, 1, 1, 1], group: 24 }, 9],
  transposed: [16, [16, 8, 2, 2], 'ConvTranspose', { strides: [2, 2] }, 9],
};

describe.each(Object.keys(convolutions))('a convolution %s', (name) => {
  const [channels, dims, op, attributes, side] = convolutions[name] as (typeof convolutions)[string];
  const images = randn([1, channels, side, side], { seed: 3 });
  const numbers = [...randn([...dims], { seed: 4 }).data];

  async function run(weights: readonly number[], algorithm: 'auto' | 'gemm') {
    const file = onnxFile({
      inputs: { x: [1, channels, side, side] },
      outputs: ['y'],
      tensors: { w: [dims, weights] },
      nodes: [[op, ['x', 'w'], ['y'], attributes]],
    });
    const session = await InferenceSession.create(file, { algorithm });
    const { y } = await session.run({ x: images });
    session.dispose();
    return y?.data;
  }

  test.each(['auto', 'gemm'] as const)('takes denormal weights for zeros (%s)', async (algorithm) => {
    const denormal = numbers.map((value, i) => (i % 3 === 0 ? Math.sign(value) * 1e-39 : value));
    const flushed = numbers.map((value, i) => (i % 3 === 0 ? 0 : value));
    expect(await run(denormal, algorithm)).toEqual(await run(flushed, algorithm));
  });
});
