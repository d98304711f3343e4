import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { saveModel } from '../../lib';
import { root, runNode } from '../support/child';
import { temporaryFolder } from '../support/formats';
import { deployNetwork, randomNetwork, tiny } from '../support/networks';

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);
const run = (...args: string[]) => runNode(['dist/cli/index.js', ...args]);
const [trained, deploy, int8] = [file('trained.safetensors'), file('deploy.safetensors'), file('int8.safetensors')];
const images = 'examples/data/fashion-mnist';
const small = ['--blocks', '1,1,1,1', '--channels', '8,8,8,8,8', '--strides', '1,2,2,2,1'];

beforeAll(async () => {
  const grey = { ...tiny, inChannels: 1, numClasses: 10, inputSize: 28 };
  await saveModel(randomNetwork('qarepvgg_a0', grey), trained);
  await saveModel(deployNetwork('qarepvgg_a0', grey), deploy);
  expect(run('quantize', deploy, int8, '--data', images, '--images', '8').status).toBe(0);
  mkdirSync(file('folder'));
});

/** One line on the standard error, and nothing else. */
function expectFailure(args: readonly string[], status: number, ...messages: readonly string[]): void {
  const result = run(...args);
  expect({ stdout: result.stdout, status: result.status }).toEqual({ stdout: '', status });
  expect(result.stderr).toMatch(/^error: .*\n$/);
  for (const message of messages) expect(result.stderr).toContain(message);
}

describe('bad usage: exit code 2 and one line', () => {
  test.each<[string[], string]>([
    [['train', images, '--lr', '-1'], 'option lr: expected a number above 0'],
    [['train', images, ...small, '--eps', '1e-60'], 'option eps'],
    [['train', images, ...small, '--clip-norm', '0'], 'option clipNorm'],
    [['train', images, ...small, '--nesterov', '--momentum', '0'], 'option nesterov'],
    [['train', images, '--blocks', '1,1,1'], 'option blocks: expected an array of 4 numbers'],
    [['train', images, '--model', 'nosuch'], 'Expected one of qarepvgg_a0, '],
    [['train', images, '--mean', '0.5'], 'expected both --mean and --std'],
    [['train', images, '--mean', '0.5,0.5', '--std', '1,1'], 'option preprocessing'],
    [['train', images, '--gamma', '0.5'], 'expected --schedule step with --milestones and --gamma, received cosine'],
    [['train', images, ...small, '--custom-l2'], 'option customL2: expected false for blocks without a batch norm'],
    [['train', images, '--resume'], 'expected --checkpoint with --resume'],
    [['train', images, ...small, '--threads', '2000'], 'option threads'],
    [['train', images, ...small, '--size', '32'], '--size: expected 28x28, the size of these images'],
    [['train', images, ...small, '--in-channels', '3'], '--in-channels: expected 1, the channels of these images'],
    [
      ['train', images, ...small, '--num-classes', '3'],
      '--num-classes: expected 10, the classes of these images, or more',
    ],
    [['train', images, ...small, '--labels', 'a,b'], '--labels: expected 10 names, one for each class of the data'],
    [['train', images, ...small, '--validation', images, '--labels', 'a,b'], '--labels: expected 10 names'],
    [['fuse', trained, 'x', '--model', 'nosuch'], 'Expected one of qarepvgg_a0, '],
    [['fuse', trained, 'x', '--blocks', '1,1,1,1'], 'fuse, --blocks: expected a file of tensors with --model'],
    [['verify', trained, '--num-classes', '10'], 'verify, --num-classes: expected a file of tensors'],
    [['info', trained, '--layout', 'timm'], 'info, --layout: expected a file of tensors'],
    [['info', trained, '--in-channels', '1'], 'info, --in-channels: expected a file of tensors'],
    [['info', '--eps', '0.1'], 'info, --eps: expected a model that it belongs to, received none'],
    [['info', 'qarepvgg_a0', '--key', 'model'], 'info, --key: expected a file of tensors, received the architecture'],
    [['info', 'qarepvgg_a0', '--model', 'qarepvgg_a1'], 'info, --model: expected a file of tensors'],
    [['info', 'qarepvgg_a0', '--blocks', '1,1,1'], 'info, option blocks'],
    [['export', trained, 'model.onx'], '.onnx or .safetensors, received ".onx"; did you mean "onnx"?'],
    [['verify', trained, '--samples', '99999999999'], 'Expected an integer from 1 to 10000.'],
    [['verify', trained, '--tolerance', '-1'], 'Expected a number from 0.'],
    [['verify', trained, '--data', images], 'a quantised model to compare with, received none'],
  ])('%j', (args, message) => expectFailure(args, 2, message));

  test('found after the data are read; in JSON nothing else is printed', () => {
    const { stdout, stderr, status } = run('train', images, ...small, '--batch-size', '100000', '--json');
    expect({ stdout, status }).toEqual({ stdout: '', status: 2 });
    expect(JSON.parse(stderr).error).toEqual({
      code: 'ERR_INVALID_ARG',
      message: expect.stringContaining('--batch-size: expected at most 512'),
    });
  });

  test('with models in deploy form and quantised ones', () => {
    for (const [args, message] of [
      [['verify', deploy, '--deploy', int8], 'name files, or a folder with --data'],
      [['verify', deploy, '--deploy', int8, '--data', images, '--agreement', '1.5'], 'Expected a number from 0 to 1.'],
      [['verify', deploy, '--deploy', int8, '--data', images, '--agreement', '-1'], 'Expected a number from 0 to 1.'],
      [['quantize', deploy, file('x'), '--data', images, '--weight-bits', '3'], 'option weights: expected an integer'],
      [['quantize', deploy, file('x'), '--data', images, '--keep-float', 'nope'], 'option keepFloat'],
      [['bench', deploy, '--threads', '2000'], 'option threads: expected an integer from 1 to 1024'],
      [['bench', deploy, '--size', '100000'], 'option inputSize: expected a side from 1 to 65536'],
    ] as const) {
      expectFailure(args, 2, message);
    }
  });
});

describe('files to write are checked before the work', () => {
  // Images that are not there: whatever is said of the outputs is said before they are looked for.
  const [train, quantize] = [
    ['train', file('no-images')],
    ['quantize', deploy],
  ];
  const data = ['--data', file('no-images')];

  test('names that are those of files of another kind: exit code 2, and what command writes them', () => {
    const before = readdirSync(folder);
    for (const [args, message] of [
      [['fuse', trained, file('x.onnx')], 'fuse, <to>, '],
      [['fuse', trained, file('x.ONNX')], 'one for an ONNX file, which exportOnnx, or qarepvgg export, writes'],
      [
        ['export', deploy, file('x.safetensors')],
        'one for a safetensors file, which saveModel, or qarepvgg fuse, writes',
      ],
      [[...train, '--out', file('x.onnx')], 'train, --out, '],
      [[...train, '--checkpoint', file('x.onnx')], 'train, --checkpoint, '],
      [[...quantize, file('x'), ...data, '--report', file('x.onnx')], 'a name for a report'],
    ] as const) {
      expectFailure(args, 2, message);
    }
    expect(readdirSync(folder)).toEqual(before);
  });

  test('what cannot be written: exit code 1', () => {
    for (const [args, name] of [
      [['fuse', trained], '<to>'],
      [['export', deploy], '<file>'],
      [[...train, '--out'], '--out'],
      [[...train, '--checkpoint'], '--checkpoint'],
      [[...quantize, ...data], '<to>'],
      [[...quantize, file('x'), ...data, '--report'], '--report'],
    ] as const) {
      const command = args[0] as string;
      expectFailure(
        [...args, file('nowhere/x')],
        1,
        `${command}, ${name}, "${file('nowhere/x')}": expected a path that`,
      );
      expectFailure([...args, file('folder')], 1, `${command}, ${name}, "${file('folder')}": expected a file`);
    }
    expect(existsSync(file('x'))).toBe(false);
  });

  test('one file for two things: exit code 2, and it stays as it is', () => {
    const before = readFileSync(deploy);
    const same = path.join(folder, 'folder', '..', 'deploy.safetensors');
    const photos = file('photos');
    const photo = path.join(photos, 'cat', '1.jpg');
    mkdirSync(path.dirname(photo), { recursive: true });
    writeFileSync(photo, 'an image');
    for (const [args, message] of [
      [['fuse', deploy, deploy], 'the file that is read'],
      [['export', file('model'), path.join(folder, 'folder', '..', 'model')], 'the file that is read'],
      [[...quantize, same, ...data], 'the file that is read'],
      [[...quantize, file('y'), ...data, '--report', file('y')], 'that of <to>'],
      [[...quantize, file('y'), ...data, '--report', file('z'), '--report', file('z')], 'that of --report'],
      [[...train, '--out', file('y'), '--checkpoint', file('y')], 'that of --out'],
      [['train', photos, ...small, '--out', photo], 'which is in the folder that is read'],
      [['train', images, ...small, '--validation', photos, '--out', photo], 'which is in the folder that is read'],
      [['quantize', deploy, file('y'), '--data', photos, '--report', photo], 'which is in the folder that is read'],
    ] as const) {
      expectFailure(args, 2, 'expected a file of its own, received', message);
    }
    expect(readFileSync(deploy)).toEqual(before);
    expect(readFileSync(photo, 'utf8')).toBe('an image');
    expect([existsSync(file('y')), existsSync(file('z'))]).toEqual([false, false]);
  });
});

describe('messages', () => {
  test('name the command and the file', () => {
    const missing = file('missing.safetensors');
    for (const [args, command] of [
      [['fuse', missing, file('x')], 'fuse'],
      [['export', missing, file('x')], 'export'],
      [['verify', missing], 'verify'],
      [['bench', missing], 'bench'],
      [['quantize', missing, file('x'), '--data', images], 'quantize'],
    ] as const) {
      expectFailure(args, 1, `error: ${command}, "${missing}": expected`);
    }
    expectFailure(['quantize', deploy, file('x'), '--data', missing], 1, `error: quantize, "${missing}"`);
    expectFailure(['train', missing, '--out', file('x')], 1, `error: train, "${missing}"`);
  });

  test('a name that is neither a file nor an architecture', () => {
    expectFailure(['info', 'qarepvgg_zz'], 1, 'expected a model file, or an architecture: qarepvgg_a0, qarepvgg_a1');
  });

  test('models that are fused already', () => {
    const partial = file('partial.safetensors');
    expect(run('fuse', trained, partial, '--keep-post-bn').status).toBe(0);
    expectFailure(['fuse', deploy, file('x')], 1, 'one in deploy form, which is fused already');
    expectFailure(['fuse', partial, file('x'), '--keep-post-bn'], 1, 'leave out --keep-post-bn');
    expectFailure(['verify', deploy], 1, `qarepvgg verify trained.safetensors --deploy ${deploy}`);
    expect(run('fuse', partial, file('from-partial.safetensors')).status).toBe(0);
    const shape = ['--blocks', '2,1,2,1', '--channels', '4,4,8,12,16', '--in-channels', '1', '--size', '28'];
    const tensors = ['fuse', deploy, file('converted'), '--model', 'qarepvgg_a0', ...shape];
    expect(run(...tensors).stdout).toMatch(/deploy form\): nothing was left to fuse\n.*converted: /);
    expect(JSON.parse(run(...tensors, '--json').stdout)).toMatchObject({ fromForm: 'deploy', form: 'deploy' });
  });
});

test('a reader that leaves does not end the work', () => {
  const command = [...['train', images, ...small, '--epochs', '3', '--json'], '--out', file('unwatched.safetensors')];
  const script = `"$NODE" dist/cli/index.js ${command.join(' ')} | head -n 1`;
  const { stderr } = spawnSync('bash', ['-c', `set -o pipefail; ${script}`], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, NODE: process.execPath },
  });
  expect(stderr).toBe('');
  expect(existsSync(file('unwatched.safetensors'))).toBe(true);
});
