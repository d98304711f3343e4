import path from 'node:path';
import {
  createModel,
  exportOnnx,
  importOnnx,
  loadModel,
  quantize,
  randn,
  saveModel,
  verifyEquivalence,
} from '../../lib';
import { readRawSafetensors } from '../../lib/formats/safetensors';
import { withSession } from '../../lib/runtime/with-session';
import { jsonOf, runNode } from '../support/child';
import { temporaryFolder } from '../support/formats';
import { deployNetwork, randomNetwork, tiny } from '../support/networks';

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);
const oblong = { ...tiny, inputSize: [20, 36] } as const;
const model = deployNetwork('qarepvgg_a0', oblong);
const x = randn([2, 2, 20, 36]);

test('a network for images that are not square keeps their size in every file', async () => {
  const int8 = (await quantize(model, [x])).model;
  await saveModel(model, file('deploy.safetensors'));
  await saveModel(int8, file('int8.safetensors'));
  await exportOnnx(model, file('deploy.onnx'));
  await exportOnnx(int8, file('int8.onnx'));
  for (const name of ['deploy.safetensors', 'int8.safetensors', 'deploy.onnx', 'int8.onnx']) {
    const back = await (name.endsWith('.onnx') ? importOnnx(file(name)) : loadModel(file(name)));
    expect(back.options.inputSize).toEqual([20, 36]);
    await withSession(file(name), {}, async (session) => {
      expect(session.inputSize).toEqual([20, 36]);
      expect(session.runSync({ input: x }).logits.dims).toEqual([2, 5]);
    });
  }
});

test('of square ones the side is written, as versions before know it', async () => {
  const square = createModel('qarepvgg_a0', { ...tiny, inputSize: [24, 24] });
  expect(square.options.inputSize).toBe(24);
  await saveModel(square, file('square.safetensors'));
  expect((await readRawSafetensors(file('square.safetensors'))).metadata.inputSize).toBe('24');
});

test('its two forms are compared on images of that size', () => {
  const network = randomNetwork('qarepvgg_a0', { ...tiny, inputSize: [1, 300] });
  expect(verifyEquivalence(network, network.reparameterize()).whole.relativeL2).toBeLessThan(1e-5);
});

test('the command line takes HEIGHTxWIDTH', async () => {
  await saveModel(model, file('deploy.safetensors'));
  const shape = ['--in-channels', '2', '--blocks', '2,1,2,1', '--channels', '4,4,8,12,16', '--num-classes', '5'];
  const cli = (...args: string[]) => jsonOf(['dist/cli/index.js', ...args, '--json']);
  expect(cli('info', 'qarepvgg_a0', ...shape, '--size', '20x36')).toMatchObject({ inputSize: [20, 36] });
  expect(cli('info', 'qarepvgg_a0', ...shape, '--input-size', '20x20')).toMatchObject({ inputSize: 20 });
  const bench = ['bench', file('deploy.safetensors'), '--seconds', '1'];
  expect(cli(...bench)).toMatchObject({ inputDims: [1, 2, 20, 36] });
  expect(cli(...bench, '--size', '32x16')).toMatchObject({ inputDims: [1, 2, 32, 16] });
  expect(cli('export', file('deploy.safetensors'), file('out.onnx'))).toMatchObject({ inputDims: ['N', 2, 20, 36] });
  for (const text of ['20x', '20x30x3', 'x', '2.5', '-4x4', '20,36']) {
    const { status, stderr } = runNode(['dist/cli/index.js', 'info', 'qarepvgg_a0', '--size', text]);
    expect([status, stderr]).toEqual([2, expect.stringContaining('HEIGHTxWIDTH, such as 256x192')]);
  }
});
