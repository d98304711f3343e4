import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { info } from '../lib';
import { runNode } from './support/child';

const folder = mkdtempSync(path.join(tmpdir(), 'qarepvgg-'));
afterAll(() => rmSync(folder, { recursive: true }));

function image(name: string, width: number, height: number): string {
  const file = path.join(folder, name);
  const pixels = Uint8Array.from({ length: 3 * width * height }, (_, i) => (i * 37) % 256);
  writeFileSync(file, Buffer.concat([Buffer.from(`P6\n${width} ${height}\n255\n`), pixels]));
  return file;
}

const small = image('small.ppm', 32, 24);

function run(...args: string[]) {
  return runNode(['dist/cli/index.js', ...args]);
}

describe('demo', () => {
  test('shows every block, both times and the speed-up, without colours in a pipe', () => {
    const { stdout, stderr, status } = run('demo', '--runs', '1', small);
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    expect(stdout).toMatch(/block 1 +32 x 12 x 16( +\d+\.\d\d){2} +\d+\.\d\dx( +\d\.\de-\d+){2}\n/);
    expect(stdout.match(/^ {2}block \d/gm)).toHaveLength(8);
    expect(stdout).toContain('The two forms agree');
    expect(stdout).not.toContain('\x1b');
  });

  test('runs on the photographs of the package, as JSON', () => {
    const { stdout, status } = run('demo', '--json', '--runs', '1');
    const result = JSON.parse(stdout) as Record<string, unknown> & { blocks: Record<string, number>[] };
    expect(status).toBe(0);
    expect(result).toMatchObject({ inputDims: [4, 3, 224, 224], runs: 1, passed: true, isa: info().isa });
    expect(result.blocks).toHaveLength(8);
    for (const { relativeL2, maxAbsolute, trainTime, deployTime } of result.blocks) {
      // Not zero: the two forms are really computed in two ways.
      expect(relativeL2).toBeGreaterThan(0);
      expect(relativeL2).toBeLessThan(1e-5);
      expect(maxAbsolute).toBeGreaterThan(0);
      expect([trainTime, deployTime].every((time) => (time as number) > 0)).toBe(true);
    }
  });

  test('images of different sizes, no image, no file', () => {
    const cases: [string[], RegExp][] = [
      [[small, image('other.ppm', 24, 32)], /image 2: expected 32 x 24 pixels as the first, received 24 x 32/],
      [['package.json'], /package.json: expected a binary PPM image/],
      [['nowhere.ppm'], /no such file/],
    ];
    for (const [files, message] of cases) {
      const { stdout, stderr, status } = run('demo', ...files);
      expect({ stdout, status }).toEqual({ stdout: '', status: 1 });
      expect(stderr).toMatch(/^error: .*\n$/);
      expect(stderr).toMatch(message);
    }
  });
});

describe('info', () => {
  test('for people', () => {
    const { stdout, status } = run('info');
    expect(status).toBe(0);
    expect(stdout).toContain(`instruction set  ${info().isa} (available: ${info().isas.join(', ')})`);
  });

  test('for machines', () => {
    expect(JSON.parse(run('info', '--json').stdout)).toEqual(info());
  });
});

describe('usage', () => {
  test.each([
    [['demo', '--runs', '0']],
    [['demo', '--runs', 'many']],
    [['demo', '--nonsense']],
    [['nonsense']],
    [['info', 'a', 'b']],
    [[]],
  ])('%j makes no sense: exit code 2', (args) => {
    const { stdout, stderr, status } = run(...args);
    expect({ stdout, status }).toEqual({ stdout: '', status: 2 });
    expect(stderr).not.toBe('');
  });

  test.each([
    [['--help'], 'Commands:'],
    [['demo', '--help'], 'Example:\n  $ qarepvgg demo'],
    [['info', '--help'], 'Examples:\n'],
    [['--version'], info().version],
  ])('%j: exit code 0', (args, text) => {
    const { stdout, status } = run(...args);
    expect(status).toBe(0);
    expect(stdout).toContain(text);
  });

  test('help is there where the addon does not load, and the failure is one line', () => {
    const broken = { QAREPVGG_ISA: 'nonsense' };
    expect(runNode(['dist/cli/index.js', 'demo', '--help'], broken).status).toBe(0);
    const { stderr, status } = runNode(['dist/cli/index.js', 'info'], broken);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^error: .*QAREPVGG_ISA.*\n$/);
  });
});
