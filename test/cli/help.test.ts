import { runNode } from '../support/child';

const run = (...args: string[]) => runNode(['dist/cli/index.js', ...args]);

/** The commands that the help lists. */
function commands(): string[] {
  const [, list = ''] = /Commands:\n(.*?)\n\n/s.exec(run('--help').stdout) ?? [];
  return [...list.matchAll(/^ {2}(\w+)/gm)].map(([, name]) => name as string).filter((name) => name !== 'help');
}

test('without a command: what people want first, and where the rest is', () => {
  const { stdout, stderr, status } = run();
  expect({ stdout, status }).toEqual({ stdout: '', status: 2 });
  for (const line of ['qarepvgg run ', 'qarepvgg demo', 'qarepvgg serve ', 'qarepvgg quantize ', 'qarepvgg --help']) {
    expect(stderr).toContain(line);
  }
  expect(stderr.split('\n').filter((line) => line.length > 80)).toEqual([]);
});

test('every help fits 80 columns and has an example', () => {
  const names = commands();
  expect(names).toEqual(expect.arrayContaining(['demo', 'fuse', 'quantize', 'serve', 'train', 'verify']));
  for (const name of names) {
    const { stdout, status } = run(name, '--help');
    expect({ name, status }).toEqual({ name, status: 0 });
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
    expect(stdout).toMatch(/\nExamples?:\n {2}\$ /);
    expect(stdout).toContain('--quiet');
  }
});

test('so do the tables of a model, whose labels are wrapped', () => {
  const { stdout } = run('info', 'models/fashion-mnist.safetensors');
  expect(stdout).toMatch(/\n {2}classes +10 \(T-shirt\/top, .*\n {17}Sneaker, Bag, Ankle boot\)\n/s);
  expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
});

test.each([
  [['quantise'], 'quantize'],
  [['fuse', 'a', 'b', '--lables', 'x'], '--labels'],
  [['detect', 'a.jpg', '--modle', 'x'], '--model'],
  [['fuse', 'a', 'b', '--model', 'qarepvgg-a0'], '"qarepvgg_a0"'],
  [['fuse', 'a', 'b', '--layout', 'super_gradients'], '"super-gradients"'],
  [['bench', 'x', '--algorithm', 'gem'], '"gemm"'],
  [['info', 'qarepvgg-a0'], '"qarepvgg_a0"'],
])('%j: did you mean %s?', (args, name) => {
  expect(run(...args).stderr.toLowerCase()).toContain(`did you mean ${name}?`);
});

describe('--json', () => {
  test.each([
    [['info', 'nowhere.safetensors', '--json'], 1, 'ERR_INVALID_ARG', 'info, "nowhere.safetensors": expected'],
    [['export', 'README.md', 'x.onnx', '--json'], 1, 'ERR_MODEL_FORMAT', 'export, "README.md"'],
    [['demo', '--runs', '0', '--json'], 2, 'ERR_INVALID_ARG', "option '--runs <n>' argument '0' is invalid"],
    [['quantise', '--json'], 2, 'ERR_INVALID_ARG', "unknown command 'quantise' (Did you mean quantize?)"],
    [['info', '--eps', '1', '--json'], 2, 'ERR_INVALID_ARG', 'info, --eps: expected a model'],
  ])('%j: an error is one line of JSON', (args, status, code, message) => {
    const result = run(...args);
    expect({ stdout: result.stdout, status: result.status }).toEqual({ stdout: '', status });
    expect(result.stderr).toMatch(/^\{.*\}\n$/);
    expect(JSON.parse(result.stderr)).toEqual({ error: { code, message: expect.stringContaining(message) } });
  });
});

test('--quiet: nothing but errors, and the same exit code', () => {
  for (const args of [['info'], ['info', '--json'], ['info', 'qarepvgg_a0', '-q']]) {
    const { stdout, stderr, status } = run(...args, '--quiet');
    expect({ args, stdout, stderr, status }).toEqual({ args, stdout: '', stderr: '', status: 0 });
  }
  const { stdout, stderr, status } = run('info', 'nowhere.safetensors', '--quiet');
  expect({ stdout, status }).toEqual({ stdout: '', status: 1 });
  expect(stderr).toMatch(/^error: .*\n$/);
});
