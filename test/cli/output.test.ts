import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import path from 'node:path';
import { exportOnnx, InferenceSession, saveModel } from '../../lib';
import { root } from '../support/child';
import { temporaryFolder } from '../support/formats';
import { randomNetwork, tiny } from '../support/networks';

// Standard output on a disk that is full: what a command is for is done all the same.

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);
const cli = path.join(root, 'dist', 'cli', 'index.js');
const data = path.join(root, 'examples', 'data', 'fashion-mnist');
const small = ['--blocks', '1,1,1,1', '--channels', '8,8,8,8,8', '--epochs', '1', '--batch-size', '256'];
const complaint = /^error: standard output cannot be written: ENOSPC.*; the work goes on without it\n$/;

/** Linux has a device for this. */
const onLinux = existsSync('/dev/full') ? describe : describe.skip;

function onFullDisk(args: readonly string[], alsoErrors = false) {
  const full = openSync('/dev/full', 'w');
  try {
    const stdio = ['ignore', full, alsoErrors ? full : 'pipe'] as const;
    return spawnSync(process.execPath, [cli, ...args], { stdio: [...stdio], encoding: 'utf8', timeout: 100_000 });
  } finally {
    closeSync(full);
  }
}

beforeAll(async () => {
  const model = randomNetwork('qarepvgg_a0', { ...tiny, inputSize: 28, inChannels: 1 });
  await saveModel(model, file('train.safetensors'));
  await saveModel(model.reparameterize(), file('deploy.safetensors'));
  await exportOnnx(model.reparameterize(), file('deploy.onnx'));
});

onLinux('standard output on a full disk', () => {
  test.each<readonly [name: string, args: readonly string[], output: string | undefined]>([
    ['train', ['train', data, ...small, '--out', file('trained.safetensors')], 'trained.safetensors'],
    ['train --json', ['train', data, ...small, '--json', '--out', file('lines.safetensors')], 'lines.safetensors'],
    ['fuse', ['fuse', file('train.safetensors'), file('fused.safetensors')], 'fused.safetensors'],
    ['export', ['export', file('deploy.safetensors'), file('exported.onnx')], 'exported.onnx'],
    [
      'quantize',
      ['quantize', file('deploy.safetensors'), file('int8.safetensors'), '--data', data, '--images', '8'],
      'int8.safetensors',
    ],
    ['verify', ['verify', file('train.safetensors'), '--samples', '1'], undefined],
    ['info', ['info', file('deploy.onnx')], undefined],
    ['--help', ['--help'], undefined],
  ])('%s', async (_, args, output) => {
    const { stderr, status } = onFullDisk(args);
    expect({ stderr, status }).toEqual({ stderr: expect.stringMatching(complaint), status: 1 });
    if (output === undefined) return;
    const session = await InferenceSession.create(file(output));
    session.dispose();
  });

  test('and errors, too', () => {
    expect(onFullDisk(['info'], true).status).toBe(1);
    expect(onFullDisk(['unknown'], true).status).toBe(2);
  });

  test('a server goes on', async () => {
    const full = openSync('/dev/full', 'w');
    const args = ['serve', '--model', `m=${file('deploy.safetensors')}`, '--port', '0'];
    const child = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', full, 'pipe'] });
    closeSync(full);
    const [said] = await once(child.stderr as NodeJS.ReadableStream, 'data');
    expect(String(said)).toMatch(complaint);
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  });
});

test('whoever reads the output may leave: that is no failure', () => {
  const shell = '"$NODE" "$CLI" info "$MODEL" | head -c 1; exit ' + '$' + '{PIPESTATUS[0]}';
  const env = { ...process.env, NODE: process.execPath, CLI: cli, MODEL: file('deploy.onnx') };
  const { stderr, status } = spawnSync('bash', ['-c', shell], { env, encoding: 'utf8' });
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
});
