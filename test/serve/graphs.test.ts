import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { temporaryFolder } from '../support/formats';
import { type ModelSketch, onnxFile } from '../support/onnx-files';
import { ask, servers } from '../support/serving';

const start = servers();
const folder = temporaryFolder();
let url: string;

/** Two inputs and two outputs, of different types, computed image by image. */
const pairs: ModelSketch = {
  inputs: { a: ['n', 4], b: ['n', 4] },
  outputs: ['sum', 'best'],
  outputDims: { sum: ['n', 4], best: ['n', 1] },
  types: { best: 'int64' },
  nodes: [
    ['Add', ['a', 'b'], ['sum']],
    ['ArgMax', ['sum'], ['best'], { axis: 1, keepdims: 1 }],
  ],
};
/** Its images are not independent: each is divided by the sum of all. */
const shares: ModelSketch = {
  inputs: { x: ['n', 2] },
  outputs: ['share'],
  outputDims: { share: ['n', 2] },
  nodes: [
    ['ReduceSum', ['x', 'axes'], ['total'], { keepdims: 1 }],
    ['Div', ['x', 'total'], ['share']],
  ],
  integers: { axes: [0] },
};
/** Made for two images, neither more nor fewer; the result has no first dim of images. */
const fixed: ModelSketch = {
  inputs: { x: [2, 3] },
  outputs: ['flat'],
  outputDims: { flat: [6] },
  nodes: [['Reshape', ['x', 'shape'], ['flat']]],
  integers: { shape: [6] },
};
/** Sizes that requests decide; of the result the file says nothing. */
const open: ModelSketch = {
  inputs: { x: ['n', 1, 'h', 'w'] },
  outputs: ['small'],
  nodes: [['MaxPool', ['x'], ['small'], { kernel_shape: [2, 2], strides: [2, 2] }]],
};

beforeAll(async () => {
  const models = Object.fromEntries(
    Object.entries({ pairs, shares, fixed, open }).map(([name, sketch]) => {
      const file = path.join(folder, `${name}.onnx`);
      writeFileSync(file, onnxFile(sketch));
      return [name, file];
    }),
  );
  url = (await start({ models, queueDelay: 20 })).url;
});

const tensor = (name: string, shape: number[], data: number[], datatype = 'FP32') => ({ name, shape, datatype, data });

async function infer(model: string, inputs: object[], outputs?: string[]) {
  const { status, body } = await ask(`${url}/v2/models/${model}/infer`, {
    method: 'POST',
    body: JSON.stringify({ inputs, ...(outputs && { outputs: outputs.map((name) => ({ name })) }) }),
  });
  const answer = body as {
    error?: string;
    outputs?: { name: string; datatype: string; shape: number[]; data: number[] }[];
  };
  return { status, error: answer.error, outputs: answer.outputs };
}

const statistics = async (model: string) =>
  (
    (await ask(`${url}/v2/models/${model}/stats`)).body as {
      model_stats: { inference_count: number; execution_count: number }[];
    }
  ).model_stats[0];

test('several inputs and outputs, by name, in metadata and requests', async () => {
  expect((await ask(`${url}/v2/models/pairs`)).body).toMatchObject({
    platform: 'qarepvgg_onnx',
    inputs: [tensorMetadata('a', [-1, 4]), tensorMetadata('b', [-1, 4])],
    outputs: [tensorMetadata('sum', [-1, 4]), tensorMetadata('best', [-1, 1], 'INT64')],
  });
  // In any order.
  const inputs = [tensor('b', [1, 4], [1, 1, 1, 1]), tensor('a', [1, 4], [0, 5, 2, 3])];
  expect((await infer('pairs', inputs)).outputs).toEqual([
    tensor('sum', [1, 4], [1, 6, 3, 4]),
    tensor('best', [1, 1], [1], 'INT64'),
  ]);
  expect((await infer('pairs', inputs, ['best'])).outputs).toEqual([tensor('best', [1, 1], [1], 'INT64')]);
});

const tensorMetadata = (name: string, shape: number[], datatype = 'FP32') => ({ name, datatype, shape });

test('what is wrong with one of several inputs is said of it', async () => {
  const a = tensor('a', [1, 4], [1, 2, 3, 4]);
  const cases: [object[], string][] = [
    [[a], 'inputs: expected 2: ["a", "b"], received 1'],
    [[a, a], 'inputs: expected one named "b", received none'],
    [[a, tensor('b', [2, 4], Array(8).fill(0))], 'the same first dim in all of them, received [1, 2]'],
    [[a, tensor('b', [1, 4], [1, 2, 3, 4], 'INT32')], 'input "b": expected FP32, received INT32'],
    [[a, tensor('b', [1, 3], [1, 2, 3])], 'input "b", shape: expected [-1, 4], received [1, 3]'],
  ];
  for (const [inputs, message] of cases) {
    expect(await infer('pairs', inputs)).toMatchObject({ status: 400, error: expect.stringContaining(message) });
  }
});

test('requests of a graph whose images are independent compute together', async () => {
  const results = await Promise.all(
    Array.from({ length: 12 }, (_, i) => {
      const rows = 1 + (i % 2);
      const values = Array.from({ length: 4 * rows }, (_, at) => i + at);
      return infer('pairs', [tensor('a', [rows, 4], values), tensor('b', [rows, 4], values)]);
    }),
  );
  results.forEach(({ outputs }, i) => {
    const rows = 1 + (i % 2);
    const doubled = Array.from({ length: 4 * rows }, (_, at) => 2 * (i + at));
    expect(outputs).toEqual([
      tensor('sum', [rows, 4], doubled),
      tensor('best', [rows, 1], Array(rows).fill(3), 'INT64'),
    ]);
  });
  const stats = await statistics('pairs');
  expect(stats?.execution_count).toBeLessThan((stats?.inference_count as number) - 6);
});

test('requests of a graph that mixes images, or is made for one number of them, compute alone', async () => {
  const answers = await Promise.all(
    Array.from({ length: 6 }, (_, i) => infer('shares', [tensor('x', [2, 2], [1, i + 1, 3, i + 1])])),
  );
  for (const { outputs } of answers) expect(outputs).toEqual([tensor('share', [2, 2], [0.25, 0.5, 0.75, 0.5])]);
  const flat = await Promise.all(
    Array.from({ length: 6 }, (_, i) => infer('fixed', [tensor('x', [2, 3], [i, 1, 2, 3, 4, 5])])),
  );
  flat.forEach(({ outputs }, i) => {
    expect(outputs).toEqual([tensor('flat', [6], [i, 1, 2, 3, 4, 5])]);
  });
  expect(await infer('fixed', [tensor('x', [1, 3], [1, 2, 3])])).toMatchObject({ status: 400 });
});

test('sizes that are open are those of the request', async () => {
  const [small, large] = await Promise.all([
    infer('open', [tensor('x', [1, 1, 2, 2], [1, 2, 3, 4])]),
    infer('open', [tensor('x', [1, 1, 2, 4], [1, 2, 3, 4, 5, 6, 7, 8])]),
  ]);
  expect(small?.outputs).toEqual([tensor('small', [1, 1, 1, 1], [4])]);
  expect(large?.outputs).toEqual([tensor('small', [1, 1, 1, 2], [6, 8])]);
});
