import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { randn } from '../../lib';
import { runNode } from '../support/child';
import { temporaryFolder } from '../support/formats';
import { type ModelSketch, onnxFile } from '../support/onnx-files';

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);
const run = (...args: string[]) => runNode(['dist/cli/index.js', ...args]);

const numbers = (dims: readonly number[], seed: number): readonly [readonly number[], readonly number[]] => [
  dims,
  Array.from(randn([...dims], { seed }).data, (value) => 0.3 * value),
];

/** Of images of any size. */
const sketch: ModelSketch = {
  inputs: { images: ['n', 3, 'h', 'w'] },
  outputs: ['y'],
  tensors: { a: numbers([8, 3, 3, 3], 1), b: numbers([8, 8, 3, 3], 2), c: numbers([4, 8, 1, 1], 3) },
  nodes: [
    ['Conv', ['images', 'a'], ['body/first']],
    ['Relu', ['body/first'], ['r']],
    ['Conv', ['r', 'b'], ['body/second']],
    ['Relu', ['body/second'], ['s']],
    ['Conv', ['s', 'c'], ['y']],
  ],
};

beforeAll(() => {
  writeFileSync(file('theirs.onnx'), onnxFile(sketch));
  mkdirSync(file('photos'));
  for (const seed of [1, 2]) {
    const bytes = Uint8Array.from(randn([40 * 50 * 3], { seed }).data, (value) => 128 + 40 * value);
    writeFileSync(file(`photos/${seed}.ppm`), Buffer.concat([Buffer.from('P6 50 40 255\n'), bytes]));
  }
  writeFileSync(file('photos/broken.ppm'), 'P6 50');
});

test('from an ONNX file of any origin to integers, a report and an ONNX file', () => {
  const options = ['--data', file('photos'), '--size', '32x48', '--skip-unreadable', '--keep-float', 'body/f*'];
  const reports = ['--report', file('report.html'), '--report', file('report.json')];
  const { status, stdout, stderr } = run(
    'quantize',
    file('theirs.onnx'),
    file('int8.safetensors'),
    ...options,
    ...reports,
  );
  expect([status, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(/broken\.ppm: skipped, /);
  expect(stdout).toMatch(/2 images in .* s, 2 of 3 nodes in integers\nsignal to quantisation noise: y \d\d\.\d dB\n/);
  expect(readFileSync(file('report.html'), 'utf8')).toContain('named in keepFloat');
  expect(JSON.parse(readFileSync(file('report.json'), 'utf8'))).toMatchObject({ outputs: [{ name: 'y' }] });
  expect(run('export', file('int8.safetensors'), file('int8.onnx')).status).toBe(0);
  for (const name of ['int8.safetensors', 'int8.onnx']) {
    const { status, stdout } = run('run', file(name), file('photos/1.ppm'), '--size', '32', '--json');
    expect(status).toBe(0);
    expect(JSON.parse(stdout).outputs.y.dims).toEqual([1, 4, 28, 28]);
  }
});

test('verify compares with the quantised form on images', () => {
  const verify = (...args: string[]) => run('verify', file('theirs.onnx'), '--dims', '1x3x32x48', ...args);
  const quantized = ['--deploy', file('int8.onnx')];
  const all = verify(...quantized, '--data', file('photos'), '--skip-unreadable');
  expect([all.status, all.stdout]).toEqual([0, expect.stringMatching(/on 2 images\n[\s\S]* {2}y +\d\d\.\d dB\n/)]);
  const one = JSON.parse(verify(...quantized, file('photos/1.ppm'), '--json').stdout);
  expect(one).toMatchObject({ images: 1, passed: true, outputs: [{ name: 'y', passed: true }] });
  expect(verify(...quantized)).toMatchObject({ status: 2, stderr: expect.stringContaining('name files, or a folder') });
  const float = verify('--deploy', file('theirs.onnx'), file('photos/1.ppm'));
  expect([float.status, float.stdout]).toEqual([0, expect.stringContaining('0 random images, 1 from files')]);
  const data = verify('--deploy', file('theirs.onnx'), '--data', file('photos'));
  expect(data).toMatchObject({ status: 2, stderr: expect.stringContaining('a quantised model to compare with') });
});

test('--json; what makes no sense is refused', () => {
  const quantize = (...flags: string[]) =>
    run('quantize', file('theirs.onnx'), file('again.onnx'), '--data', file('photos'), '--size', '32', ...flags);
  const { status, stdout } = quantize('--skip-unreadable', '--json', '--mean', '0.5,0.5,0.5', '--std', '0.5,0.5,0.5');
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ outputs: [{ name: 'y' }], recipe: { images: 2 } });
  expect(quantize().stderr).toMatch(/broken\.ppm/);
  expect(quantize('--skip-unreadable', '--mean', '0.5').stderr).toMatch(/--mean and --std/);
  const own = ['models/fashion-mnist.safetensors', file('own.safetensors'), '--data', 'examples/data/fashion-mnist'];
  expect(run('quantize', ...own, '--size', '32')).toMatchObject({ status: 2 });
  expect(quantize('--skip-unreadable', '--keep-float', 'body/frist').stderr).toMatch(/did you mean "body\/first"/);
});

test('a classifier and a folder for each class: accuracy before and after', () => {
  const classifier: ModelSketch = {
    inputs: { images: ['n', 3, 8, 8] },
    outputs: ['y'],
    outputDims: { y: ['n', 2] },
    tensors: { a: numbers([8, 3, 3, 3], 1), w: numbers([2, 8], 2) },
    nodes: [
      ['Conv', ['images', 'a'], ['c']],
      ['Relu', ['c'], ['r']],
      ['GlobalAveragePool', ['r'], ['g']],
      ['Flatten', ['g'], ['f']],
      ['Gemm', ['f', 'w'], ['y'], { transB: 1 }],
    ],
    metadata: { names: "{0: 'cat', 1: 'dog'}" },
  };
  writeFileSync(file('classifier.onnx'), onnxFile(classifier));
  for (const name of ['cat', 'dog']) {
    mkdirSync(file(`pets/${name}`), { recursive: true });
    const bytes = Uint8Array.from(randn([20 * 20 * 3], { seed: name.length }).data, (value) => 128 + 40 * value);
    writeFileSync(file(`pets/${name}/1.ppm`), Buffer.concat([Buffer.from('P6 20 20 255\n'), bytes]));
  }
  const { status, stdout } = run('quantize', file('classifier.onnx'), file('c.safetensors'), '--data', file('pets'));
  expect([status, stdout]).toEqual([0, expect.stringMatching(/accuracy on 2 images: .* % in float, .* % quantised\n/)]);
  const compared = ['--deploy', file('c.safetensors'), '--data', file('pets'), '--agreement', '1', '--json'];
  expect(JSON.parse(run('verify', file('classifier.onnx'), ...compared).stdout)).toMatchObject({
    outputs: [{ name: 'y', agreement: expect.any(Number) }],
  });
});

test('says so where no node computes in integers', () => {
  const nodes: ModelSketch['nodes'] = [['Softmax', ['images'], ['y']]];
  writeFileSync(file('plain.onnx'), onnxFile({ inputs: sketch.inputs ?? {}, outputs: ['y'], nodes }));
  const data = ['--data', file('photos'), '--size', '32', '--skip-unreadable'];
  const { status, stdout } = run('quantize', file('plain.onnx'), file('plain.safetensors'), ...data);
  expect(status).toBe(0);
  expect(stdout).toContain('no node computes in integers');
  expect(stdout).not.toContain('Infinity');
});

test('verify takes the size of photos by the name that other commands have', () => {
  const photos = [file('photos/1.ppm'), '--size', '32x48'];
  const { status, stdout } = run('verify', file('theirs.onnx'), '--deploy', file('theirs.onnx'), ...photos, '--json');
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ passed: true });
});
