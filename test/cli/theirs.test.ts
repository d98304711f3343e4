import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { importOnnx, type Model, randn } from '../../lib';
import { within } from '../../lib/errors';
import { parseNpy, serializeNpy } from '../../lib/formats/npy';
import { tensorOf } from '../../lib/graph/tensors';
import { runNode } from '../support/child';
import { temporaryFolder } from '../support/formats';
import { type ModelSketch, onnxFile } from '../support/onnx-files';

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);
const run = (...args: string[]) => runNode(['dist/cli/index.js', ...args]);

/** The mean of each channel, of images of any size; channels as they come, and doubled. */
const means: ModelSketch = {
  inputs: { images: ['n', 3, 'h', 'w'] },
  outputs: ['mean', 'twice/it'],
  tensors: { two: [[], [2]] },
  nodes: [
    ['GlobalAveragePool', ['images'], ['p']],
    ['Flatten', ['p'], ['mean']],
    ['Mul', ['mean', 'two'], ['twice/it']],
  ],
  metadata: { names: "{0: 'red', 1: 'green', 2: 'blue'}" },
};
/** A sum of floats and integers that have been cast. */
const sum: ModelSketch = {
  inputs: { 'a=b': [2, 2], i: ['n'] },
  types: { i: 'int64' },
  outputs: ['y'],
  nodes: [
    ['Cast', ['i'], ['f'], { to: 1 }],
    ['Add', ['a=b', 'f'], ['y']],
  ],
};
const pointwise = randn([2, 2, 1, 1], { seed: 2 }).data;
const layers: ModelSketch = {
  inputs: { x: [1, 2, 5, 5] },
  outputs: ['y'],
  tensors: {
    a: [[2, 2, 3, 3], Array.from(randn([2, 2, 3, 3], { seed: 1 }).data)],
    b: [[2, 2, 1, 1], Array.from(pointwise)],
  },
  nodes: [
    ['Conv', ['x', 'a'], ['p'], { pads: [1, 1, 1, 1] }],
    ['Conv', ['x', 'b'], ['q']],
    ['Add', ['p', 'q'], ['s']],
    ['Relu', ['s'], ['y']],
  ],
};
beforeAll(() => {
  writeFileSync(file('means.onnx'), onnxFile(means));
  writeFileSync(file('sum.onnx'), onnxFile(sum));
  writeFileSync(file('layers.onnx'), onnxFile(layers));
  // Two pixels, red and half of blue.
  writeFileSync(file('image.ppm'), Buffer.concat([Buffer.from('P6 2 1 255\n'), Buffer.from([255, 0, 0, 0, 0, 255])]));
  writeFileSync(file('a.npy'), serializeNpy(tensorOf('float32', [2, 2], [1, 2, 3, 4])));
  writeFileSync(file('i.npy'), serializeNpy(tensorOf('int32', [2], [10, 20])));
});

describe('run', () => {
  test('an image, in a table, with the classes ranked', () => {
    const { stdout, status, stderr } = run('run', file('means.onnx'), file('image.ppm'));
    expect([stderr, status]).toEqual(['', 0]);
    expect(stdout).toContain('images: float32 1 x 3 x 1 x 2');
    expect(stdout).toMatch(/mean\s+float32\s+1 x 3\s+0\s+0\.5000\s+0\.3333\n/);
    expect(stdout).toMatch(/\n {2}mean\s+0\.5000 0 0\.5000\n/);
    expect(stdout).toMatch(/\n {2}red\s+0\.5000\n {2}blue\s+0\.5000\n {2}green\s+0\n/);
  });

  test('an image in a size and with a preprocessing, as JSON', () => {
    const scaling = ['--size', '4x6', '--mean', '0.5,0.5,0.5', '--std', '0.5,0.25,1', '--outputs', 'mean'];
    const { stdout } = run('run', file('means.onnx'), `images=${file('image.ppm')}`, ...scaling, '--json');
    const { inputs, outputs } = JSON.parse(stdout);
    expect(inputs).toEqual({ images: { type: 'float32', dims: [1, 3, 4, 6] } });
    expect(Object.keys(outputs)).toEqual(['mean']);
    expect(outputs.mean.data[1]).toBe(-2);
  });

  test('an image where one side is open keeps its proportions; channels last; bytes', () => {
    const run1 = (
      name: string,
      inputs: NonNullable<ModelSketch['inputs']>,
      types: NonNullable<ModelSketch['types']> = {},
    ) => {
      writeFileSync(file(name), onnxFile({ inputs, types, outputs: ['y'], nodes: [['Identity', ['x'], ['y']]] }));
      return JSON.parse(run('run', file(name), file('image.ppm'), '--json').stdout).outputs.y;
    };
    expect(run1('high.onnx', { x: ['n', 3, 4, 'w'] }).dims).toEqual([1, 3, 4, 8]);
    expect(run1('wide.onnx', { x: ['n', 'h', 6, 3] }).dims).toEqual([1, 3, 6, 3]);
    expect(run1('own.onnx', { x: ['n', 'h', 'w', 3] })).toMatchObject({ dims: [1, 1, 2, 3], data: [1, 0, 0, 0, 0, 1] });
    const bytes = run1('bytes.onnx', { x: ['n', 'h', 'w', 4] }, { x: 'uint8' });
    expect(bytes).toMatchObject({ type: 'uint8', data: [255, 0, 0, 255, 0, 0, 255, 255] });
  });

  test('arrays by name, of types that fit, into an array', () => {
    const inputs = [`i=${file('i.npy')}`, `a=b=${file('a.npy')}`];
    const { status, stdout } = run('run', file('sum.onnx'), ...inputs, '--out', file('y.npy'));
    expect([status, stdout]).toEqual([0, expect.stringContaining('written to')]);
    expect(within('test', () => parseNpy(readFileSync(file('y.npy'))))).toEqual(
      tensorOf('float32', [2, 2], [11, 22, 13, 24]),
    );
  });

  test('raw numbers; a folder of arrays, and JSON', () => {
    writeFileSync(file('x.raw'), Buffer.from(new Float32Array(12).fill(3).buffer));
    const args = ['run', file('means.onnx'), file('x.raw'), '--dims', '1x3x2x2', '--out'];
    expect(run(...args, file('results')).status).toBe(0);
    const twice = within('test', () => parseNpy(readFileSync(path.join(folder, 'results', 'twice_it.npy'))));
    expect(twice).toEqual(tensorOf('float32', [1, 3], [6, 6, 6]));
    expect(run(...args, file('results.json')).status).toBe(0);
    expect(JSON.parse(readFileSync(file('results.json'), 'utf8')).mean.data).toEqual([3, 3, 3]);
  });

  test('a network of this package', () => {
    const { stdout, status } = run('run', 'models/fashion-mnist.safetensors', 'examples/images/ankle-boot.png');
    expect([status, stdout]).toEqual([0, expect.stringMatching(/\n {2}Ankle boot\s/)]);
  });

  test.each([
    ['no input', ['means.onnx'], 2, 'a file for each of ["images"]'],
    ['an input twice', ['means.onnx', 'image.ppm', 'image.ppm'], 2, 'a file for each'],
    ['inputs without names', ['sum.onnx', 'a.npy', 'i.npy'], 2, 'one of a=b=..., i=...'],
    ['an output that is none', ['means.onnx', 'image.ppm', '--outputs', 'z'], 2, 'names among'],
    ['one file for two outputs', ['means.onnx', 'image.ppm', '--out', 'two.npy'], 2, 'or a folder'],
    ['raw numbers without dims', ['means.onnx', 'x.raw'], 2, '--dims'],
    ['numbers that are too few', ['means.onnx', 'x.raw', '--dims', '1x3x9x9'], 1, '243 numbers of type float32'],
    ['an image where none fits', ['layers.onnx', 'image.ppm'], 1, 'an array of NumPy'],
    ['half a preprocessing', ['means.onnx', 'image.ppm', '--mean', '0,0,0'], 2, 'both --mean and --std'],
    ['an input as output', ['means.onnx', 'a.npy', '--out', 'a.npy'], 2, 'the file that is read'],
  ])('refuses %s', (_, args, status, message) => {
    const names = args.map((arg) => (/\.(onnx|npy|ppm|raw)$/.test(arg) ? file(arg) : arg));
    expect(run('run', ...names)).toMatchObject({ status, stderr: expect.stringContaining(message) });
    expect(existsSync(file('two.npy'))).toBe(false);
  });
});

test('info says what is computed, and that open dims are to be named', () => {
  const { stdout } = run('info', file('layers.onnx'));
  expect(stdout).toContain('nodes        4: 2 Conv, 1 Add, 1 Relu');
  expect(stdout).toContain('computed as  1: 1 Conv');
  expect(run('info', file('means.onnx')).stdout).toMatch(/classes +3 \(red, green, blue\)\n.*\n.*--dims/);
  const { macs, nodes } = JSON.parse(run('info', file('layers.onnx'), '--json').stdout);
  expect([macs, nodes.length]).toEqual([2 * 2 * 25 * 10, 4]);
  expect(run('info', 'qarepvgg_a0', '--dims', '1').status).toBe(2);
});

test('bench counts images', () => {
  const args = ['bench', file('means.onnx'), '--size', '8x6', '--batch', '3', '--seconds', '1', '--json'];
  const result = JSON.parse(run(...args).stdout);
  expect(result).toMatchObject({ inputDims: [3, 3, 8, 6], precision: 'float32' });
  expect(result.imagesPerSecond).toBeCloseTo(3000 / result.latencyMs.p50, 5);
});

test('export writes either kind of file, verify compares them', async () => {
  for (const name of ['copy.onnx', 'copy.safetensors']) {
    expect(run('export', file('layers.onnx'), file(name))).toMatchObject({ status: 0 });
    const { stdout, status } = run('verify', file('layers.onnx'), '--deploy', file(name));
    expect([status, stdout]).toEqual([0, expect.stringContaining('The two compute the same')]);
  }
  expect((await importOnnx<Model>(file('copy.onnx'))).inputs).toEqual(
    (await importOnnx<Model>(file('layers.onnx'))).inputs,
  );
  const values = Array.from(pointwise, (value) => 1.1 * value);
  writeFileSync(file('other.onnx'), onnxFile({ ...layers, tensors: { ...layers.tensors, b: [[2, 2, 1, 1], values] } }));
  expect(run('verify', file('layers.onnx'), '--deploy', file('other.onnx'), '--json').status).toBe(1);
  expect(run('verify', file('layers.onnx')).status).toBe(2);
  expect(run('export', 'models/fashion-mnist.safetensors', file('x.safetensors')).status).toBe(2);
});

test.each([
  ['bench', ['bench', file('means.onnx')]],
  ['verify', ['verify', file('means.onnx'), '--deploy', file('means.onnx')]],
])('%s names the flag for dims that a file leaves open', (command, args) => {
  const { stderr, status } = run(...args);
  const expected = `error: ${command}, --dims: expected those of input "images", [n, 3, h, w], received none\n`;
  expect({ stderr, status }).toEqual({ stderr: expected, status: 2 });
});

test('run says which inputs have a file', () => {
  const { stderr, status } = run('run', file('sum.onnx'), `i=${file('i.npy')}`);
  const expected = 'error: run, <input>: expected a file for each of ["a=b", "i"], received ["i"]\n';
  expect({ stderr, status }).toEqual({ stderr: expected, status: 2 });
});
