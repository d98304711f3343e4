import { InferenceSession, importOnnx, type Model, quantize, randn, renderReport, sensitivity } from '../../lib';
import { adviceText } from '../../lib/quant/report-page';
import { type ModelSketch, onnxFile } from '../support/onnx-files';

const numbers = (dims: readonly number[], seed: number, size: (i: number) => number) =>
  [dims, [...randn([...dims], { seed }).data].map((value, i) => value * size(i))] as const;

const images = [1, 2].map((seed) => randn([2, 3, 12, 12], { seed }));

const plain = { equalize: false, biasCorrection: false };

/** Its second convolution undoes what the first one makes of one channel: a thousand times as large as the others. */
const loud = {
  w0: numbers([8, 3, 3, 3], 1, (i) => (i < 27 ? 1000 : 1)),
  w1: numbers([8, 8, 1, 1], 3, (i) => (i % 8 === 0 ? 1e-4 : 1)),
  w2: numbers([4, 8, 1, 1], 5, () => 0.3),
};

const modelOf = (sketch: Pick<ModelSketch, 'nodes' | 'outputs'>, tensors: ModelSketch['tensors'] = loud) =>
  importOnnx<Model>(onnxFile({ inputs: { x: ['n', 3, 12, 12] }, tensors, ...sketch }));

const body: ModelSketch['nodes'] = [
  ['Conv', ['x', 'w0'], ['net/c0'], { kernel_shape: [3, 3] }],
  ['Conv', ['net/c0', 'w1'], ['net/c1'], { kernel_shape: [1, 1] }],
  ['Relu', ['net/c1'], ['net/r1']],
];

test('advice names the nodes that put noise into the output, and no others', async () => {
  const model = await modelOf({
    nodes: [...body, ['Conv', ['net/r1', 'w2'], ['y'], { kernel_shape: [1, 1] }]],
    outputs: ['y'],
  });
  const { report } = await quantize(model, images, plain);
  expect(report.output.sqnr).toBeLessThan(25);
  expect(report.advice?.keepFloat).toEqual(['net/c1']);
  expect(report.advice?.sqnr).toBeGreaterThan(30);
  const { keepFloat = [] } = report.advice ?? {};
  expect((await quantize(model, images, { ...plain, keepFloat })).report.output.sqnr).toBeGreaterThan(28);
  // What it says of noise is what a node does alone.
  const [worst] = await sensitivity(model, images);
  expect(worst?.name).toBe('net/c1');
});

test('the report writes it as a flag to copy, with whole names', async () => {
  const model = await modelOf({
    nodes: [...body, ['Conv', ['net/r1', 'w2'], ['net/y'], { kernel_shape: [1, 1] }]],
    outputs: ['net/y'],
  });
  const { report } = await quantize(model, images, plain);
  expect(adviceText(report)).toMatch(/^Output net\/y has .* dB of signal to noise\. .*:\n--keep-float net\/c1$/);
  expect(renderReport(report)).toContain('<pre>--keep-float net/c1</pre>');
  const odd = { ...report, advice: { keepFloat: ["a's", 'b,c', 'd e'], sqnr: 31 } };
  expect(adviceText(odd)).toMatch(/\n--keep-float 'a'\\''s,b\?c,d e'$/);
  const { advice: _, ...quiet } = report;
  expect(adviceText(quiet)).toBeUndefined();
});

test('an output behind comparisons is judged by what is compared', async () => {
  const peaks = await modelOf(
    {
      nodes: [
        ['Conv', ['x', 'w0'], ['c0'], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }],
        ['Sigmoid', ['c0'], ['s']],
        ['MaxPool', ['s'], ['m'], { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [1, 1] }],
        ['Equal', ['s', 'm'], ['is']],
        ['Cast', ['is'], ['mask'], { to: 1 }],
        ['Mul', ['s', 'mask'], ['y']],
      ],
      outputs: ['y', 's'],
    },
    { w0: numbers([8, 3, 3, 3], 1, () => 0.3) },
  );
  const { report } = await quantize(peaks, images);
  const [y, s] = report.outputs ?? [];
  expect(y?.judgedBy).toEqual(['s', 'm']);
  expect(s?.judgedBy).toBeUndefined();
  expect(y?.sqnr).toBeGreaterThan(30);
  expect(report.advice).toBeUndefined();
});

test('much noise, and images that can be read again: the better recipe is taken', async () => {
  const model = await modelOf({
    nodes: [...body, ['Conv', ['net/r1', 'w2'], ['y'], { kernel_shape: [1, 1] }]],
    outputs: ['y'],
  });
  const { report } = await quantize(model, images);
  expect(report.recipe).toMatchObject({ equalize: true, biasCorrection: true });
  expect(report.output.sqnr).toBeGreaterThan((await quantize(model, images, plain)).report.output.sqnr + 3);
  function* once() {
    yield* images;
  }
  const { report: ofOnce } = await quantize(model, once());
  expect(ofOnce.recipe).toMatchObject({ equalize: false, biasCorrection: false });
});

test('equalisation through ReLU6, depthwise convolutions and sums', async () => {
  // Channels of very different sizes, of which the next convolution makes as much of each.
  const sizes = [1, 0.05, 0.5, 0.02, 0.2, 0.04, 1, 0.01];
  const of = (i: number): number => sizes[i % 8] as number;
  const model = await modelOf(
    {
      nodes: [
        ['Conv', ['x', 'w0'], ['c0'], { kernel_shape: [3, 3] }],
        ['Clip', ['c0', 'zero', 'six'], ['r0']],
        ['Conv', ['r0', 'w1'], ['c1'], { kernel_shape: [3, 3], pads: [1, 1, 1, 1], group: 8 }],
        ['Conv', ['r0', 'w2'], ['c2'], { kernel_shape: [3, 3], pads: [1, 1, 1, 1], group: 8 }],
        ['Add', ['c1', 'c2'], ['a']],
        ['Conv', ['a', 'w3'], ['y'], { kernel_shape: [1, 1] }],
      ],
      outputs: ['y'],
    },
    {
      w0: numbers([8, 3, 3, 3], 1, (i) => 0.3 * of(Math.floor(i / 27))),
      w1: numbers([8, 1, 3, 3], 2, (i) => 1 / of(Math.floor(i / 9))),
      w2: numbers([8, 1, 3, 3], 3, (i) => 1 / of(Math.floor(i / 9))),
      w3: numbers([4, 8, 1, 1], 4, () => 0.3),
      zero: [[], [0]],
      six: [[], [6]],
    },
  );
  const [{ report: equal }, { report: unequal }] = [
    await quantize(model, images, { ...plain, equalize: true }),
    await quantize(model, images, plain),
  ];
  expect(unequal.output.sqnr).toBeLessThan(25);
  expect(equal.output.sqnr).toBeGreaterThan(unequal.output.sqnr + 6);
  expect(equal.output.sqnr).toBeGreaterThan(28);
  // On the images of calibration no number is beyond the clip: in float all is the same.
  const float = await quantize(model, images, { equalize: true, keepFloat: ['*'] });
  expect(float.report.output.sqnr).toBe(Number.POSITIVE_INFINITY);
  const [image] = images as [(typeof images)[number]];
  const [own, scaled] = await Promise.all(
    [model, float.model].map(async (one) => (await (await InferenceSession.create(one)).run({ x: image })).y?.data),
  );
  expect(scaled).toEqual(own);
});
