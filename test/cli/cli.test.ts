import { info } from '../../lib';
import { runNode } from '../support/child';

function run(...args: string[]) {
  return runNode(['dist/cli/index.js', ...args]);
}

describe('demo', () => {
  test('shows accuracy and speed of both forms and draws some images, without colours in a pipe', () => {
    const { stdout, stderr, status } = run('demo', '--runs', '1');
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    expect(stdout).toMatch(/^QARepVGG, 22 blocks, 208,362 parameters, 185,802 re-parameterised\n1,000 test images/);
    expect(stdout).toMatch(/train form +model\.forward +9\d\.\d\d % +[\d,]+ +1\.00x\n/);
    expect(stdout).toMatch(/deploy form +InferenceSession +9\d\.\d\d % +[\d,]+ +\d+\.\d\dx\n/);
    expect(stdout).toContain('0 of 1,000 predictions differ');
    expect(stdout).toMatch(/\nTrouser +Shirt *\n$/);
    expect(stdout).not.toContain('\x1b');
  });

  test('as JSON', () => {
    const { stdout, status } = run('demo', '--json', '--runs', '1');
    const result = JSON.parse(stdout) as Record<string, unknown> & { results: Record<string, number>[] };
    expect(status).toBe(0);
    expect(result).toMatchObject({ images: 1000, runs: 1, passed: true, isa: info().isa });
    // Not zero: the two forms are really computed in two ways.
    expect(result.relativeL2).toBeGreaterThan(0);
    expect(result.relativeL2).toBeLessThan(1e-5);
    expect(result.results).toHaveLength(3);
    for (const { accuracy, imagesPerSecond, differentPredictions } of result.results) {
      expect(accuracy).toBeGreaterThan(0.92);
      expect(imagesPerSecond).toBeGreaterThan(0);
      expect(differentPredictions).toBe(0);
    }
  });

  test('a folder without the files', () => {
    const { stdout, stderr, status } = run('demo', 'test');
    expect({ stdout, status }).toEqual({ stdout: '', status: 1 });
    expect(stderr).toMatch(/^error: .*t10k-images-idx3-ubyte.*\n$/);
  });
});

describe('info', () => {
  test('for people', () => {
    const { stdout, status } = run('info');
    expect(status).toBe(0);
    expect(stdout).toContain(`instruction set  ${info().isa} (available: ${info().isas.join(', ')})`);
  });

  test('for machines', () => {
    const { teamSize, ...facts } = info();
    expect(teamSize).toBeGreaterThanOrEqual(1);
    expect(JSON.parse(run('info', '--json').stdout)).toEqual({ ...facts, teamSize: 1 });
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
    [['--help'], 'Exit codes: 0 '],
    [['demo', '--help'], 'Examples:\n  $ qarepvgg demo'],
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
