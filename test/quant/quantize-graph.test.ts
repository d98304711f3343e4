import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  exportOnnx,
  InferenceSession,
  importOnnx,
  loadModel,
  Model,
  quantize,
  randn,
  renderReport,
  saveModel,
  sensitivity,
} from '../../lib';
import { graphOf, type ModelSketch, type NodeSketch, onnxFile } from '../support/onnx-files';
import { expectRejection } from '../support/refusal';

const numbers = (
  dims: readonly number[],
  seed: number,
  size = 0.3,
): readonly [readonly number[], readonly number[]] => [
  dims,
  [...randn([...dims], { seed }).data].map((value) => value * size),
];

const nodes: readonly NodeSketch[] = [
  ['Conv', ['x', 'w0', 'b0'], ['c0'], { pads: [1, 1, 1, 1], kernel_shape: [3, 3] }],
  ['Relu', ['c0'], ['r0']],
  // SiLU as exporters write it.
  ['Conv', ['r0', 'w1', 'b1'], ['c1'], { pads: [1, 1, 1, 1], kernel_shape: [3, 3] }],
  ['Sigmoid', ['c1'], ['s1']],
  ['Mul', ['c1', 's1'], ['m1']],
  ['Add', ['m1', 'r0'], ['a1']],
  // A gate.
  ['GlobalAveragePool', ['a1'], ['g']],
  ['Conv', ['g', 'w2', 'b2'], ['c2'], { kernel_shape: [1, 1] }],
  ['HardSigmoid', ['c2'], ['h2']],
  ['Mul', ['a1', 'h2'], ['m2']],
  ['MaxPool', ['m2'], ['p'], { kernel_shape: [2, 2], strides: [2, 2] }],
  [
    'Resize',
    ['p', '', 'scales'],
    ['u'],
    { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' },
  ],
  ['Concat', ['u', 'r0'], ['k'], { axis: 1 }],
  ['Conv', ['k', 'w3', 'b3'], ['c3'], { kernel_shape: [1, 1] }],
  ['LeakyRelu', ['c3'], ['l3'], { alpha: 0.1 }],
  ['ConvTranspose', ['l3', 'w4', 'b4'], ['t4'], { kernel_shape: [2, 2], strides: [2, 2] }],
  ['Sigmoid', ['t4'], ['y']],
];

const tensors = {
  w0: numbers([8, 3, 3, 3], 1),
  b0: numbers([8], 2),
  w1: numbers([8, 8, 3, 3], 3, 0.15),
  b1: numbers([8], 4),
  w2: numbers([8, 8, 1, 1], 5),
  b2: numbers([8], 6),
  w3: numbers([8, 16, 1, 1], 7),
  b3: numbers([8], 8),
  w4: numbers([8, 2, 2, 2], 9),
  b4: numbers([2], 10),
  scales: [[4], [1, 1, 2, 2]],
} as const;

const modelFrom = (sketch: ModelSketch): Promise<Model> => importOnnx<Model>(onnxFile(sketch));
const model = (): Promise<Model> => modelFrom({ inputs: { x: ['n', 3, 'h', 'w'] }, outputs: ['y'], nodes, tensors });
const images = [1, 2, 3].map((seed) => randn([2, 3, 16, 16], { seed }));

async function decibels(float: Model, quantized: Model): Promise<number> {
  const x = randn([2, 3, 20, 24], { seed: 9 });
  const [a, b] = await Promise.all(
    [float, quantized].map(async (one) => {
      const session = await InferenceSession.create(one, { inputs: { x: [2, 3, 20, 24] } });
      const { y } = await session.run({ x });
      session.dispose();
      return y?.data as Float32Array;
    }),
  );
  const noise = (a as Float32Array).reduce((sum, value, i) => sum + (value - (b?.[i] as number)) ** 2, 0);
  return 10 * Math.log10((a as Float32Array).reduce((sum, value) => sum + value ** 2, 0) / noise);
}

test('a graph of any operators computes nearly the same, at sizes that were not calibrated on', async () => {
  const float = await model();
  const { model: quantized, report } = await quantize(float, images);
  expect(await decibels(float, quantized)).toBeGreaterThan(28);
  expect(report.outputs?.map(({ name }) => name)).toEqual(['y']);
  expect(report.output.sqnr).toBeGreaterThan(28);
  const rows = new Map(report.layers.map((row) => [row.name, row]));
  expect(rows.get('c2')?.reason).toMatch(/squeeze/);
  expect([...rows.values()].filter(({ precision }) => precision === 'int8').map(({ name }) => name)).toEqual([
    ...['c0', 'c1', 'm1', 'a1', 'g', 'm2', 'p', 'u', 'k', 'c3', 'l3', 't4'],
  ]);
  expect(renderReport(report)).toContain('squeeze-and-excitation');
});

test('one value, one scale: what pools, resizes and concatenations bind together shares it', async () => {
  const { model: quantized } = await quantize(await model(), images);
  const scales = quantized.graph.nodes
    .filter(({ op, inputs }) => op === 'quantizeLinear' && ['m2', 'p', 'u', 'k', 'r0'].includes(inputs[0] as string))
    .map(({ inputs }) => inputs[1]);
  expect(scales).toHaveLength(5);
  expect(new Set(scales).size).toBe(1);
});

test('files keep it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'qarepvgg-'));
  const { model: quantized } = await quantize(await model(), images);
  const [own, theirs] = [join(folder, 'int8.safetensors'), join(folder, 'int8.onnx')];
  await saveModel(quantized, own);
  await exportOnnx(quantized, theirs);
  for (const back of [await loadModel<Model>(own), await importOnnx<Model>(theirs)]) {
    expect(await decibels(quantized, back)).toBe(Number.POSITIVE_INFINITY);
  }
});

test.each([
  ['a batch norm', 'bn', 'first'],
  ['the sigmoid of a SiLU', 'gate', 'act'],
  ['the convolution of a branch', 'narrow', 'wide'],
  ['the sum of the branches', 'sum', 'wide'],
])('keepFloat: %s stands for the node that absorbs it', async (_, name, absorber) => {
  const list = (dims: number[], seed: number) => [dims, [...randn(dims, { seed, std: 0.3 }).data]] as const;
  const ones = [[8], Array(8).fill(1)] as const;
  const graph = await graphOf({
    inputs: { x: ['n', 3, 16, 16] },
    outputs: ['last'],
    nodes: [
      ['Conv', ['x', 'w'], ['first']],
      ['BatchNormalization', ['first', 'one', 'one', 'one', 'one'], ['bn']],
      ['Sigmoid', ['bn'], ['gate']],
      ['Mul', ['bn', 'gate'], ['act']],
      ['Conv', ['act', 'v'], ['wide'], { pads: [1, 1, 1, 1] }],
      ['Conv', ['act', 'u'], ['narrow']],
      ['Add', ['wide', 'narrow'], ['sum']],
      ['Conv', ['sum', 'v'], ['last']],
    ],
    tensors: { w: list([8, 3, 3, 3], 1), v: list([8, 8, 3, 3], 2), u: list([8, 8, 1, 1], 3), one: ones },
  });
  const images = [randn([2, 3, 16, 16], { seed: 4 })];
  const { report } = await quantize(new Model(graph), images, { keepFloat: [name] });
  const kept = report.layers.filter(({ reason }) => reason === 'named in keepFloat');
  expect(kept.map((layer) => [layer.name, layer.precision])).toEqual([[absorber, 'float32']]);
});

test('keepFloat: names and patterns of nodes; others are refused', async () => {
  const float = await model();
  const { report } = await quantize(float, images, { keepFloat: ['c?', 't4'] });
  expect(report.layers.every(({ precision }) => precision === 'float32')).toBe(true);
  await expectRejection(
    quantize(float, images, { keepFloat: ['c9x'] }),
    'ERR_INVALID_ARG',
    'option keepFloat: expected names of nodes',
  );
});

test('bad weights and images are refused, naming the node or batch', async () => {
  const bad = modelFrom({
    inputs: { x: ['n', 3, 'h', 'w'] },
    outputs: ['y'],
    nodes,
    tensors: { ...tensors, w1: [[8, 8, 3, 3], Array(576).fill(Number.NaN)] },
  });
  await expectRejection(bad, 'ERR_NON_FINITE', 'node "c1"');
  await expectRejection(quantize(await model(), []), 'ERR_INVALID_ARG', 'images');
  await expectRejection(quantize(await model(), [randn([1, 4, 16, 16], { seed: 1 })]), 'ERR_SHAPE', 'batch 0');
  const { model: quantized } = await quantize(await model(), images);
  await expectRejection(quantize(quantized, images), 'ERR_MODEL_INCOMPATIBLE', 'rounds already');
});

test('dead channels and values that are always zero have a scale all the same', async () => {
  const dead = await modelFrom({
    inputs: { x: ['n', 3, 'h', 'w'] },
    outputs: ['y'],
    nodes,
    tensors: { ...tensors, w0: [[8, 3, 3, 3], Array(216).fill(0)], b0: [[8], Array(8).fill(-1)] },
  });
  const { model: quantized } = await quantize(dead, images);
  expect(await decibels(dead, quantized)).toBeGreaterThan(30);
});

test.each([
  ['equalize', { equalize: true }, 26],
  ['biasCorrection', { biasCorrection: true }, 28],
  ['both, logits rounded', { equalize: true, biasCorrection: true, quantizeLogits: true }, 26],
  ['percentile', { method: 'percentile' }, 24],
  ['minmax, symmetric, per tensor', { method: 'minmax', scheme: 'symmetric', perChannel: false }, 20],
  ['seven bits', { bits: 7 }, 22],
] as const)('%s', async (_, options, least) => {
  const float = await model();
  const { model: quantized, report } = await quantize(float, images, options);
  expect(await decibels(float, quantized)).toBeGreaterThan(least);
  expect(report.recipe.images).toBe(6);
});

test('equalising changes no bit of the float graph', async () => {
  const float = await model();
  const { model: all } = await quantize(float, images, { equalize: true, keepFloat: ['*'] });
  const { model: plain } = await quantize(float, images, { keepFloat: ['*'] });
  expect(await decibels(plain, all)).toBe(Number.POSITIVE_INFINITY);
});

test('sensitivity: node by node, by noise or by a function', async () => {
  const float = await model();
  const byNoise = await sensitivity(float, images);
  expect(byNoise.map(({ name }) => name).sort()).toEqual(['c0', 'c1', 'c3', 't4']);
  expect(byNoise[0]?.score).toBeLessThan(byNoise[3]?.score as number);
  const byJudge = await sensitivity(float, images, (one: Model) => one.graph.nodes.length, { keepFloat: ['c0'] });
  expect(byJudge).toHaveLength(3);
  await expectRejection(
    sensitivity(float, images, () => Number.NaN),
    'ERR_INVALID_ARG',
    'score of',
  );
});

test('no bytes are spent on what a ReLU behind a sum makes zero, or hard swish', async () => {
  const low = await modelFrom({
    inputs: { x: ['n', 3, 'h', 'w'] },
    outputs: ['y'],
    nodes: [
      ['Conv', ['x', 'w0', 'b0'], ['c0'], { kernel_shape: [1, 1] }],
      ['HardSwish', ['c0'], ['h0']],
      ['Conv', ['h0', 'w1', 'b1'], ['c1'], { kernel_shape: [1, 1] }],
      ['Conv', ['x', 'w3'], ['c3'], { kernel_shape: [1, 1] }],
      ['Add', ['c1', 'c3'], ['a1']],
      ['Relu', ['a1'], ['r1']],
      ['Conv', ['r1', 'w2'], ['y'], { kernel_shape: [1, 1] }],
    ],
    tensors: {
      w0: numbers([8, 3, 1, 1], 1, 2),
      b0: [[8], [-40, 0, 0, 0, 0, 0, 0, 0]],
      w1: numbers([8, 8, 1, 1], 2, 0.2),
      b1: [[8], [0, -900, 0, 0, 0, 0, 0, 0]],
      w2: numbers([4, 8, 1, 1], 3),
      w3: numbers([8, 3, 1, 1], 4, 2),
    },
  });
  const { report } = await quantize(low, images);
  const rows = new Map(report.layers.map((row) => [row.name, row]));
  const range = (name: string): number => 255 * (rows.get(name)?.scale as number);
  // The row of a node shows what goes in.
  expect(range('h0')).toBeLessThan(25);
  expect(range('a1')).toBeLessThan(60);
  expect(report.output.sqnr).toBeGreaterThan(28);
});

test('several inputs are fed by name; those that do not fit are refused', async () => {
  const pair = await modelFrom({
    inputs: { a: ['n', 3, 8, 8], b: ['n', 3, 8, 8] },
    outputs: ['y'],
    nodes: [
      ['Conv', ['a', 'w0'], ['c0'], { kernel_shape: [3, 3] }],
      ['Conv', ['b', 'w0'], ['c1'], { kernel_shape: [3, 3] }],
      ['Add', ['c0', 'c1'], ['s']],
      ['Conv', ['s', 'w1'], ['y'], { kernel_shape: [1, 1] }],
    ],
    tensors: { w0: numbers([8, 3, 3, 3], 1), w1: numbers([4, 8, 1, 1], 3) },
  });
  const a = randn([2, 3, 8, 8], { seed: 1 });
  const b = randn([2, 3, 8, 8], { seed: 2 });
  const { report } = await quantize(pair, [{ a, b }] as never);
  expect(report.output.sqnr).toBeGreaterThan(28);
  await expectRejection(quantize(pair, [{ a }] as never), 'ERR_INVALID_ARG', '"a", "b"');
  const short = [{ a, b: randn([1, 3, 8, 8], { seed: 2 }) }] as never;
  await expectRejection(quantize(pair, short), 'ERR_SHAPE', 'as many images');
});

test('an abort ends it, between two images', async () => {
  const stop = new AbortController();
  const work = quantize(await model(), images, { signal: stop.signal, onProgress: () => stop.abort() });
  await expectRejection(work, 'ERR_ABORTED', 'quantize');
});
