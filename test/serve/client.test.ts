import { readFileSync } from 'node:fs';
import path from 'node:path';
import { InferenceSession } from '../../lib';
import { connect } from '../../lib/client';
import { root } from '../support/child';
import { expectRejection } from '../support/refusal';
import { servers } from '../support/serving';

const start = servers();
const model = 'fashion-mnist';
const input = { data: Float32Array.from({ length: 2 * 784 }, (_, i) => Math.sin(i)), dims: [2, 1, 28, 28] };

test('the client and the server of this package', async () => {
  const { url } = await start({ token: 'a-long-secret' });
  const client = connect(url, { token: 'a-long-secret' });
  expect([await client.live(), await client.ready(), await client.modelReady(model)]).toEqual([true, true, true]);
  expect(await client.metadata()).toMatchObject({ name: 'qarepvgg' });
  expect(await client.modelMetadata(model)).toMatchObject({ outputs: [{ name: 'logits' }] });
  expect(await client.modelConfig(model)).toMatchObject({ backend: 'qarepvgg' });

  const session = await InferenceSession.create(path.join(root, 'models/fashion-mnist.safetensors'));
  const { logits } = await session.run({ input });
  for (const binary of [true, false]) {
    const { outputs } = await client.infer(model, { input }, { binary });
    expect(outputs.logits).toEqual({ data: logits?.data, dims: [2, 10], type: 'FP32' });
  }
  expect(await client.stats(model)).toMatchObject({ inference_stats: { success: { count: 2 } } });

  const boot = readFileSync(path.join(root, 'examples/images/ankle-boot.png'));
  const [best] = await client.classify(model, boot, { top: 3 });
  expect(best).toEqual({ index: 9, label: 'Ankle boot', value: expect.any(Number), probability: expect.any(Number) });
  const one = { data: input.data.subarray(0, 784), dims: [1, 1, 28, 28] };
  const top = await client.classify(model, { input: one }, { top: 10 });
  expect(top.map(({ value }) => value)).toEqual([...(logits?.data.subarray(0, 10) ?? [])].sort((a, b) => b - a));

  expect(await client.repository()).toMatchObject([{ name: model, state: 'READY' }]);
  await client.unload(model);
  await expectRejection(client.infer(model, { input }), 'ERR_STATUS', '404');
  await client.load(model);
  expect(await client.modelReady(model)).toBe(true);
  const stranger = connect(url);
  await expect(stranger.infer(model, { input })).rejects.toMatchObject({ code: 'ERR_STATUS', status: 401 });
  for (const each of [client, stranger]) each.close();
});
