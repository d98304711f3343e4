import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { importOnnx, loadFashionMnist, loadModel, type QuantizationReport, type QuantizedModel } from '../../lib';
import { runNode } from '../support/child';
import { temporaryFolder } from '../support/formats';

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);
const run = (...args: string[]) => runNode(['dist/cli/index.js', ...args]);
const data = ['--data', 'examples/data/fashion-mnist'];
const [shipped, deploy, int8] = [
  'models/fashion-mnist.safetensors',
  file('deploy.safetensors'),
  file('int8.safetensors'),
];

/** Runs a command that must go well. */
function ok(...args: string[]): string {
  const { stdout, stderr, status } = run(...args);
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  return stdout;
}

beforeAll(() => {
  ok('fuse', shipped, deploy);
});

test('from the shipped model to integers, a report and an ONNX file', async () => {
  const reports = ['--report', file('report.html'), '--report', file('report.json')];
  const stdout = ok('quantize', deploy, int8, ...data, '--images', '100', ...reports);
  expect(stdout).toMatch(/23 of 23 layers\): 100 images in \d+\.\d s\n/);
  expect(stdout).toMatch(/\naccuracy on 1,000 images: 92\.40 % in float, 9\d\.\d\d % quantised\n/);
  expect(stdout).toMatch(/logits \d+\.\d dB, at worst \d+\.\d dB \(stage/);
  expect(stdout).toMatch(/int8\.safetensors: \d+\.\d KiB, 27\.\d % of the weights in float32\n/);
  expect(stdout).toMatch(/report\.html: report\n.*report\.json: report\n/);
  expect(readFileSync(file('report.html'), 'utf8')).toContain('<!doctype html>');
  const report = JSON.parse(readFileSync(file('report.json'), 'utf8')) as QuantizationReport;
  expect(report.recipe.images).toBe(100);
  expect(statSync(int8).size / statSync(deploy).size).toBeLessThan(0.27);
  expect(ok('export', int8, file('int8.onnx'))).toContain('QuantizedModel(qarepvgg_a0, 1 -> 10');
  const [a, b] = [await loadModel<QuantizedModel>(int8), await importOnnx<QuantizedModel>(file('int8.onnx'))];
  expect(a.layers).toEqual(b.layers);
});

test('every option reaches the model; ONNX straight away', async () => {
  const flags = [
    ...['--images', '64', '--method', 'percentile', '--percentile', '99.9', '--scheme', 'symmetric', '--per-tensor'],
    ...['--weight-bits', '7', '--activation-bits', '6', '--equalize', '--bias-correction', '--threads', '1'],
    ...['--keep-float', 'stage0,linear', '--quantize-logits', '--json'],
  ];
  const result = JSON.parse(ok('quantize', deploy, file('all.onnx'), ...data, ...flags)) as Record<string, unknown>;
  const { recipe, layers, output } = await importOnnx<QuantizedModel>(file('all.onnx'));
  expect(recipe).toEqual({
    method: 'percentile',
    scheme: 'symmetric',
    perChannel: false,
    weightBits: 7,
    activationBits: 6,
    equalize: true,
    biasCorrection: true,
    images: 64,
  });
  expect(result).toMatchObject({ recipe, to: file('all.onnx'), bytes: statSync(file('all.onnx')).size });
  expect(layers.filter(({ precision }) => precision === 'float32').map(({ name }) => name)).toEqual([
    ...['stage0', 'pool', 'linear'],
  ]);
  expect(output).toBeUndefined();
});

describe('with a quantised file', () => {
  beforeAll(() => {
    if (!existsSync(int8)) ok('quantize', deploy, int8, ...data);
  });

  test('verify: noise, agreement, accuracy', () => {
    const stdout = ok('verify', deploy, '--deploy', int8, ...data);
    expect(stdout).toMatch(/images +1,000\n.*noise of the logits +\d\d\.\d dB\n +same predictions +9\d\.\d\d %\n/);
    const result = JSON.parse(ok('verify', shipped, '--deploy', int8, ...data, '--json')) as {
      sqnr: number;
      agreement: number;
      accuracy: { float: number; quantized: number };
    };
    expect(result.sqnr).toBeGreaterThan(25);
    expect(result.agreement).toBeGreaterThan(0.98);
    expect(Math.abs(result.accuracy.float - result.accuracy.quantized)).toBeLessThan(0.01);
  });

  test('verify: exit code 1 when too few agree, and for models that are in no form for it', () => {
    const strict = run('verify', deploy, '--deploy', int8, ...data, '--agreement', '1');
    expect(strict.status).toBe(1);
    expect(strict.stdout).toContain('The two DISAGREE');
    const refused: [string[], RegExp][] = [
      [['verify', int8, '--deploy', deploy, ...data], /expected a network in float, received a quantised one/],
      [['fuse', int8, file('x')], /expected a network in float/],
      [['quantize', int8, file('x'), ...data], /expected a network in float/],
      [['quantize', deploy, file('x'), '--data', file('nothing')], /ENOENT/],
    ];
    for (const [args, message] of refused) {
      const { stdout, stderr, status } = run(...args);
      expect({ stdout, status }).toEqual({ stdout: '', status: 1 });
      expect(stderr).toMatch(message);
    }
    expect(existsSync(file('x'))).toBe(false);
  });

  test('a model in train form is fused in memory, to the same integers', () => {
    const [fused, plain] = [file('from-train.safetensors'), file('from-deploy.safetensors')];
    const flags = [...data, '--images', '64'];
    expect(ok('quantize', shipped, fused, ...flags)).toContain('fused in memory from train form\n');
    ok('quantize', deploy, plain, ...flags);
    expect(readFileSync(fused).equals(readFileSync(plain))).toBe(true);
  });

  test('info and bench', () => {
    const stdout = ok('info', int8);
    expect(stdout).toMatch(/form +int8\n/);
    expect(stdout).toMatch(/ranges +mse, affine, per channel, of \d+ images\n/);
    expect(stdout).toMatch(/\n {2}stage1\.0 +int8 +2,320 +2,432\n/);
    expect(JSON.parse(ok('info', int8, '--json'))).toMatchObject({ form: 'int8', parameters: 185_802, numClasses: 10 });
    expect(ok('bench', int8, '--seconds', '1')).toMatch(/GOP\/s +\d+\.\d .*, \d+ % of the peak of \d+\.\d\n/);
    expect(JSON.parse(ok('bench', int8, '--seconds', '1', '--json'))).toMatchObject({
      precision: 'int8',
      inputDims: [1, 1, 28, 28],
    });
  });
});

test('what makes no sense: exit code 2; --help shows examples and needs no addon', () => {
  for (const args of [
    ['quantize', deploy],
    ['quantize', deploy, file('x')],
    ['quantize', deploy, file('x'), ...data, '--method', 'max'],
    ['quantize', deploy, file('x'), ...data, '--images', '0'],
  ]) {
    expect(run(...args).status).toBe(2);
  }
  const { stdout, status } = runNode(['dist/cli/index.js', 'quantize', '--help'], { QAREPVGG_ISA: 'nonsense' });
  expect(status).toBe(0);
  expect(stdout).toContain('\n  $ qarepvgg quantize ');
});

test('a folder of images without classes will do; then no accuracy is known', async () => {
  const photos = file('photos');
  mkdirSync(photos);
  const { images: pixels } = await loadFashionMnist('examples/data/fashion-mnist', 'test');
  for (let i = 0; i < 4; i++) {
    const image = Buffer.from(pixels.subarray(784 * i, 784 * (i + 1)));
    writeFileSync(path.join(photos, `${i}.pgm`), Buffer.concat([Buffer.from('P5 28 28 255\n'), image]));
  }
  const stdout = ok('quantize', deploy, file('flat.safetensors'), '--data', photos);
  expect(stdout).toMatch(/4 images in/);
  expect(stdout).not.toContain('accuracy');
});
