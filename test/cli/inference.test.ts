import { statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { importOnnx, info, loadModel, type Network, randn, saveModel } from '../../lib';
import { runNode } from '../support/child';
import { bits } from '../support/compare';
import { temporaryFolder } from '../support/formats';
import { deployNetwork } from '../support/networks';

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);
const [model, onnx] = [file('model.safetensors'), file('model.onnx')];

beforeAll(async () => {
  await saveModel(deployNetwork(), model);
  writeFileSync(file('text.onnx'), 'not an ONNX file');
});

function run(...args: string[]) {
  return runNode(['dist/cli/index.js', ...args]);
}

describe('export', () => {
  test('writes the ONNX file and says so', async () => {
    const { stdout, stderr, status } = run('export', model, onnx);
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    expect(stdout).toMatch(/model\.onnx: Network\(qarepvgg_a0, 3 -> 10, S4, deploy form\), 50\d\.\d KiB\n$/);
    const x = randn([1, 3, 32, 32]);
    expect(bits((await importOnnx<Network>(onnx)).forward(x))).toBe(bits((await loadModel<Network>(model)).forward(x)));
  });

  test('as JSON', () => {
    const { stdout, status } = run('export', model, onnx, '--json');
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      from: model,
      to: onnx,
      bytes: statSync(onnx).size,
      architecture: 'qarepvgg_a0',
      inputDims: ['N', 3, 32, 32],
      numClasses: 10,
    });
  });
});

describe('bench', () => {
  test.each([model, onnx])('of %s: a table', (from) => {
    const { stdout, stderr, status } = run('bench', from, '--seconds', '1', '--batch', '2', '--threads', '1');
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    expect(stdout).toMatch(/input +2 x 3 x 32 x 32/);
    expect(stdout).toMatch(/latency p99 +\d+\.\d\d ms/);
    expect(stdout).toMatch(/images\/s +\d+\.\d/);
  });

  test('as JSON', () => {
    const { stdout, status } = run('bench', model, '--seconds', '1', '--size', '40', '--algorithm', 'gemm', '--json');
    const result = JSON.parse(stdout) as {
      latencyMs: Record<string, number>;
      runs: number;
      imagesPerSecond: number;
      gigaops: number;
    };
    expect(status).toBe(0);
    expect(result).toMatchObject({
      algorithm: 'gemm',
      inputDims: [1, 3, 40, 40],
      isa: info().isa,
      threads: info().threads,
    });
    const { min, p50, p90, p99, max } = result.latencyMs as Record<'min' | 'p50' | 'p90' | 'p99' | 'max', number>;
    expect([min, p50, p90, p99, max]).toEqual([min, p50, p90, p99, max].sort((a, b) => a - b));
    expect(result.imagesPerSecond).toBeCloseTo(1000 / p50);
    expect(result.runs).toBeGreaterThan(1);
    expect(result.gigaops).toBeGreaterThan(0);
  });
});

test('what cannot be: exit code 1 and one line; what makes no sense: exit code 2', () => {
  const failures: [string[], RegExp][] = [
    [['bench', file('nothing.safetensors')], /ENOENT/],
    [['bench', file('text.onnx')], /an ONNX file/],
    [['export', model, file('no/folder.onnx')], /ENOENT/],
  ];
  for (const [args, message] of failures) {
    const { stdout, stderr, status } = run(...args);
    expect({ stdout, status }).toEqual({ stdout: '', status: 1 });
    expect(stderr).toMatch(/^error: .*\n$/);
    expect(stderr).toMatch(message);
  }
  for (const args of [
    ['bench'],
    ['bench', model, '--batch', '0'],
    ['bench', model, '--algorithm', 'fft'],
    ['export', model],
  ]) {
    expect(run(...args).status).toBe(2);
  }
});

test.each(['bench', 'export'])('%s --help shows an example', (command) => {
  const { stdout, status } = run(command, '--help');
  expect(status).toBe(0);
  expect(stdout).toContain(`$ qarepvgg ${command} `);
});
