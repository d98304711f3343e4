import { InferenceSession } from '../../lib';
import { type ModelSketch, type NodeSketch, onnxFile } from '../support/onnx-files';
import { expectRejection } from '../support/refusal';

/** The first output for x, through the engine. */
async function run(node: NodeSketch, x: number[], more: Partial<ModelSketch> = {}) {
  const file = onnxFile({ inputs: { x: [1, x.length] }, outputs: ['y'], nodes: [node], ...more });
  const session = await InferenceSession.create(file, { threads: 1 });
  const { y } = await session.run({ x: { data: Float32Array.from(x), dims: [1, x.length] } });
  session.dispose();
  return Array.from(y?.data ?? [], Number);
}

const close = (received: number[], expected: number[]) =>
  received.forEach((value, i) => {
    expect(value).toBeCloseTo(expected[i] as number, 5);
  });

test('Celu, ThresholdedRelu and Gelu', async () => {
  const x = [-2, -0.5, 0, 0.5, 2];
  close(
    await run(['Celu', ['x'], ['y'], { alpha: 2 }], x),
    x.map((v) => (v < 0 ? 2 * Math.expm1(v / 2) : v)),
  );
  close(await run(['ThresholdedRelu', ['x'], ['y'], { alpha: 0.5 }], x), [0, 0, 0, 0, 2]);
  close(await run(['Gelu', ['x'], ['y']], x), [-0.0455003, -0.1542688, 0, 0.3457312, 1.9544997]);
});

test('a clip whose bounds are computed', async () => {
  const nodes: NodeSketch[] = [
    ['ReduceMean', ['x'], ['low'], { keepdims: 0 }],
    ['Clip', ['x', 'low'], ['y']],
  ];
  close(await run(['Relu', ['x'], ['y']], [1, 2, 6], { nodes }), [3, 3, 6]);
});

test('Pow with a constant exponent, also one with more dims than x', async () => {
  const pow = (dims: number[], exponents: number[]) =>
    run(['Pow', ['x', 'e'], ['y']], [-3, 0.5], { tensors: { e: [dims, exponents] } });
  expect(await pow([], [2])).toEqual([9, 0.25]);
  expect(await pow([1, 1, 1], [2])).toEqual([9, 0.25]);
  expect(await pow([1], [3])).toEqual([-27, 0.125]);
  expect(await pow([2], [2, 3])).toEqual([9, 0.125]);
});

test.each(['ReduceSum', 'ReduceMean', 'ReduceL1', 'ReduceL2', 'ReduceSumSquare', 'ReduceLogSum'])(
  '%s along any axes, of more numbers than are added at a time',
  async (op) => {
    const [rows, columns] = [40, 70];
    const x = Float32Array.from({ length: rows * columns }, (_, i) =>
      op === 'ReduceLogSum' ? 1 + i : Math.sin(i) / 64,
    );
    const sum = (numbers: number[]) => {
      const [plain, absolute, squares] = [(v: number) => v, Math.abs, (v: number) => v * v].map((term) =>
        numbers.reduce((all, v) => all + term(v), 0),
      ) as [number, number, number];
      if (op === 'ReduceLogSum') return Math.log(plain);
      if (op === 'ReduceMean') return plain / numbers.length;
      return op === 'ReduceSum' ? plain : op === 'ReduceL1' ? absolute : op === 'ReduceL2' ? squares ** 0.5 : squares;
    };
    const at = (row: number, column: number) => x[row * columns + column] as number;
    const list = (length: number) => Array.from({ length }, (_, i) => i);
    const reduce = async (...axes: number[]) => {
      const file = onnxFile({
        inputs: { x: [rows, columns] },
        outputs: ['y'],
        nodes: [[op, ['x', 'axes'], ['y']]],
        integers: { axes },
      });
      const session = await InferenceSession.create(file, { threads: 1 });
      const { y } = await session.run({ x: { data: x, dims: [rows, columns] } });
      session.dispose();
      return Array.from(y?.data ?? [], Number);
    };
    close(
      await reduce(1),
      list(rows).map((row) => sum(list(columns).map((column) => at(row, column)))),
    );
    close(
      await reduce(0),
      list(columns).map((column) => sum(list(rows).map((row) => at(row, column)))),
    );
    close(await reduce(0, 1), [sum(Array.from(x))]);
  },
);

test('LayerNormalization', async () => {
  const tensors = { scale: [[2], [1, 2]], bias: [[2], [0, 1]] } as const;
  close(await run(['LayerNormalization', ['x', 'scale', 'bias'], ['y']], [1, 3], { tensors }), [-0.999995, 2.99999]);
});

test('Pad that cuts at one side what it adds at the other', async () => {
  const integers = { p: [0, 1, 0, -1] };
  expect(await run(['Pad', ['x', 'p'], ['y']], [1, 2, 3], { integers })).toEqual([0, 1, 2]);
  expect(await run(['Pad', ['x', 'p'], ['y'], { mode: 'reflect' }], [1, 2, 3], { integers })).toEqual([2, 1, 2]);
});

test('Pad reflects at most what there is', async () => {
  const reflect = (pads: number[]) =>
    run(['Pad', ['x', 'p'], ['y'], { mode: 'reflect' }], [1, 2, 3], { integers: { p: pads } });
  expect(await reflect([0, 2, 0, 2])).toEqual([3, 2, 1, 2, 3, 2, 1]);
  const message = 'node "y" (Pad): expected pads below 3, the length of axis 1, received 3';
  await expectRejection(reflect([0, 3, 0, 0]), 'ERR_SHAPE', message);
});

test('QuantizeLinear rounds to even and saturates; DequantizeLinear undoes it', async () => {
  const tensors = { scale: [[], [0.5]] } as const;
  expect(await run(['QuantizeLinear', ['x', 'scale'], ['y']], [-1, 0.25, 0.75, 3, 500], { tensors })).toEqual([
    0, 0, 2, 6, 255,
  ]);
  const nodes: NodeSketch[] = [
    ['QuantizeLinear', ['x', 'scale'], ['q']],
    ['DequantizeLinear', ['q', 'scale'], ['y']],
  ];
  expect(await run(['Relu', ['x'], ['y']], [0.3, 3], { tensors, nodes })).toEqual([0.5, 3]);
});

test('QuantizeLinear without a zero point makes integers of its output_dtype', async () => {
  const tensors = { scale: [[], [0.5]] } as const;
  const of = (output_dtype: number, more: Partial<ModelSketch> = {}) =>
    run(['QuantizeLinear', ['x', 'scale', ...Object.keys(more.bytes ?? {})], ['y'], { output_dtype }], [-1, 3, 500], {
      tensors,
      opset: 21,
      ...more,
    });
  expect(await of(0)).toEqual([0, 6, 255]);
  expect(await of(2)).toEqual([0, 6, 255]);
  expect(await of(3)).toEqual([-2, 6, 127]);
  await expectRejection(of(5), 'ERR_MODEL_INCOMPATIBLE', 'expected integers of 8 bits, received wider ones');
  await expectRejection(of(17), 'ERR_MODEL_INCOMPATIBLE', 'expected integers of 8 bits, received type 17 of ONNX');
  await expectRejection(of(3, { bytes: { zero: ['uint8', [], [1]] } }), 'ERR_SHAPE', 'as the zero point is uint8');
});

test.each([
  ['along one axis, with padding', { pads: [300, 20], strides: [7] }, 301, 1],
  ['with distance between its taps', { dilations: [2] }, 290, 2],
])('a convolution with a kernel of more taps than the engine has, %s', async (_, attributes, size, dilation) => {
  const [before = 0, after = 0] = (attributes as { pads?: number[] }).pads ?? [];
  const [stride = 1] = (attributes as { strides?: number[] }).strides ?? [];
  const length = 700;
  const x = Array.from({ length }, (__, i) => Math.sin(i * i));
  const weight = Array.from({ length: size }, (__, i) => Math.cos(3 * i * i) / 16);
  const received = await run(['Relu', ['x'], ['y']], x, {
    tensors: { w: [[1, 1, size], weight], bias: [[1], [0.5]] },
    integers: { dims: [1, 1, length] },
    nodes: [
      ['Reshape', ['x', 'dims'], ['line']],
      ['Conv', ['line', 'w', 'bias'], ['y'], attributes],
    ],
  });
  const count = Math.floor((length + before + after - (size - 1) * dilation - 1) / stride) + 1;
  const expected = Array.from({ length: count }, (__, i) =>
    weight.reduce((sum, value, tap) => sum + value * (x[i * stride - before + tap * dilation] ?? 0), 0.5),
  );
  expect(received).toHaveLength(count);
  close(received, expected);
});
