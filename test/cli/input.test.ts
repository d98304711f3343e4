import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { exportOnnx, loadModel, type Network, saveModel, saveStateDict } from '../../lib';
import { root } from '../support/child';
import { temporaryFolder } from '../support/formats';
import { deployNetwork, randomNetwork, tiny } from '../support/networks';

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);
const trained = randomNetwork('qarepvgg_a0');
const deploy = deployNetwork('qarepvgg_a0', tiny);
const shape = ['--in-channels', '2', '--size', '17', '--blocks', '2,1,2,1', '--channels', '4,4,8,12,16'];

beforeAll(async () => {
  await saveModel(trained, file('train.safetensors'));
  await saveModel(deploy, file('deploy.safetensors'));
  await exportOnnx(deploy, file('deploy.onnx'));
  await saveStateDict(trained.stateDict(), file('state.safetensors'));
});

function cli(args: readonly string[], input?: string) {
  const options = { cwd: root, encoding: 'utf8' as const, ...(input && { input: readFileSync(file(input)) }) };
  const { stdout, stderr, status } = spawnSync(process.execPath, ['dist/cli/index.js', ...args], options);
  return { stdout, stderr, status };
}

describe('- is standard input', () => {
  test.each<[string, string, string[], RegExp]>([
    ['info', 'deploy.onnx', ['info', '-'], /form +deploy/],
    ['info of tensors', 'state.safetensors', ['info', '-', '--model', 'qarepvgg_a0', ...shape], /form +train/],
    ['export', 'deploy.safetensors', ['export', '-', file('out.onnx')], /out\.onnx: Network/],
    ['fuse', 'train.safetensors', ['fuse', '-', file('fused.safetensors')], /deploy form.*blocks in/],
    ['verify', 'train.safetensors', ['verify', '-', '--deploy', file('deploy.safetensors')], /compute the same/],
    [
      'verify, the other one',
      'deploy.onnx',
      ['verify', file('train.safetensors'), '--deploy', '-'],
      /compute the same/,
    ],
    ['bench', 'deploy.onnx', ['bench', '-', '--seconds', '1'], /images\/s/],
  ])('%s', (_, input, args, expected) => {
    expect(cli(args, input)).toEqual({ stdout: expect.stringMatching(expected), stderr: '', status: 0 });
  });

  test('that is damaged is named by its size', () => {
    writeFileSync(file('damaged'), 'not a model');
    const { stderr, status } = cli(['info', '-'], 'damaged');
    expect([stderr, status]).toEqual([expect.stringMatching(/^error: info, 11 bytes: expected/), 1]);
  });
});

describe('a model in train form is fused in memory, and it is said, by', () => {
  test('export', async () => {
    const { stdout, status } = cli(['export', file('train.safetensors'), file('train.onnx')]);
    expect([stdout, status]).toEqual([expect.stringContaining('deploy form), fused in memory from train form'), 0]);
    const json = JSON.parse(cli(['export', file('train.safetensors'), file('train.onnx'), '--json']).stdout);
    expect(json).toMatchObject({ fusedFrom: 'train' });
    expect((await loadModel<Network>(file('train.safetensors'))).form).toBe('train');
  });

  test('bench', () => {
    const { stdout, status } = cli(['bench', file('train.safetensors'), '--seconds', '1']);
    expect([stdout, status]).toEqual([expect.stringContaining('fused in memory; the file is in train form'), 0]);
  });
});

describe('fuse', () => {
  const tensors = ['fuse', file('state.safetensors'), file('named.safetensors'), '--model', 'qarepvgg_a0', ...shape];

  test.each([
    ['lines', 'a\nb c\r\n日本\nd\ne\n'],
    ['JSON, with a byte order mark', '\uFEFF["a", "b c", "日本", "d", "e"]'],
  ])('takes labels from a file: %s', async (_, text) => {
    writeFileSync(file('labels.txt'), text);
    const args = [...tensors, '--labels', file('labels.txt'), '--mean', '0.1,0.2', '--std', '0.3,0.4'];
    expect(cli(args)).toMatchObject({ stderr: '', status: 0 });
    const { options, form } = await loadModel(file('named.safetensors'));
    expect(form).toBe('deploy');
    expect(options.labels).toEqual(['a', 'b c', '日本', 'd', 'e']);
    expect(options.preprocessing).toEqual({ mean: [0.1, 0.2], std: [0.3, 0.4] });
    const again = cli(['fuse', file('train.safetensors'), file('again.safetensors'), '--labels', file('labels.txt')]);
    expect(again).toMatchObject({ stderr: '', status: 0 });
    expect((await loadModel(file('again.safetensors'))).options.labels).toEqual(options.labels);
  });

  test.each<[string, string[], string, number]>([
    ['too few labels', ['--labels', 'few.txt'], '5 names, one for each class', 2],
    ['no labels', ['--labels', 'none.txt'], 'ENOENT', 1],
    ['labels in bad JSON', ['--labels', 'bad.json'], 'an array of names in JSON', 1],
    ['a mean alone', ['--mean', '0,0'], 'both --mean and --std', 2],
    ['a mean of other channels', ['--mean', '0', '--std', '1'], '2 finite numbers', 2],
  ])('refuses %s', (_, args, message, code) => {
    writeFileSync(file('few.txt'), 'a\nb\n');
    writeFileSync(file('bad.json'), '["a"');
    const flags = args.map((arg) => (/\.(txt|json)$/.test(arg) ? file(arg) : arg));
    const { stderr, status } = cli([...tensors, ...flags]);
    expect([stderr, status]).toEqual([expect.stringContaining(message), code]);
  });

  test('says of an ONNX file that it is fused already, with --model and without', () => {
    for (const more of [[], ['--model', 'qarepvgg_a0']]) {
      const { stderr, status } = cli(['fuse', file('deploy.onnx'), file('x.safetensors'), ...more]);
      expect([stderr, status]).toEqual([expect.stringContaining('which is fused already; use it as it is'), 1]);
    }
    const { stderr } = cli(['info', file('deploy.onnx'), '--model', 'qarepvgg_a0']);
    expect(stderr).toContain('leave out --model');
  });
});
