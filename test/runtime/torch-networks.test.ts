import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { InferenceSession, importOnnx, type Model, type Tensor, verifyEquivalence } from '../../lib';
import { parseNpy } from '../../lib/formats/npy';
import { opOf } from '../../lib/graph/ops';
import { optimize } from '../../lib/graph/passes';
import { atOnce } from '../../lib/slices';
import { relativeL2 } from '../support/compare';

/** What PyTorch has exported and computed; ../fixtures/make_onnx_models.py. */
const folder = path.join(__dirname, '..', 'fixtures', 'onnx');
const array = (name: string) => parseNpy(readFileSync(path.join(folder, `${name}.npy`))) as Tensor & { type: string };
const names = readdirSync(folder).flatMap((file) => (file.endsWith('.onnx') ? [file.slice(0, -5)] : []));
const file = (name: string): string => path.join(folder, `${name}.onnx`);

test('the networks are there', () => {
  expect(names.sort()).toEqual([
    ...['convnext', 'detector', 'mobilenet', 'repvgg_deploy', 'repvgg_train', 'resnet', 'unet', 'vit', 'yolo'],
  ]);
});

describe.each(names)('%s', (name) => {
  test.each(['gemm', 'auto'] as const)('computes what PyTorch does, %s', async (algorithm) => {
    const session = await InferenceSession.create(file(name), { algorithm });
    const images = array(`${name}.images`);
    const results = await session.run({ images });
    const alone = await session.run({ images: { data: images.data.slice(0, 3840), dims: [1, 3, 32, 40] } });
    for (const output of session.outputNames) {
      const expected = array(`${name}.${output}`);
      expect(results[output]?.dims).toEqual(expected.dims);
      const data = results[output]?.data as Float32Array;
      expect(relativeL2(data, expected.data)).toBeLessThan(algorithm === 'gemm' ? 1e-5 : 2e-5);
      // The first image is the same bits alone.
      expect(alone[output]?.data).toEqual(data.slice(0, data.length / 2));
    }
    session.dispose();
  });
});

/** How many nodes of each operator are computed. */
async function computed(name: string): Promise<Record<string, number>> {
  const { graph } = await importOnnx<Model>(file(name));
  const counts: Record<string, number> = {};
  for (const node of atOnce(optimize(graph, new Map([['images', [1, 3, 32, 40]]]))).nodes) {
    const { onnx } = opOf(node);
    counts[onnx] = (counts[onnx] ?? 0) + 1;
  }
  return counts;
}

test('a network in training form runs as plain convolutions, as its deploy form does', async () => {
  const { graph } = await importOnnx<Model>(file('repvgg_train'));
  expect(graph.nodes.filter(({ op }) => op === 'batchNormalization')).toHaveLength(10);
  // Four blocks and the linear layer.
  expect((await computed('repvgg_train')).Conv).toBe(5);
  expect(await computed('repvgg_train')).toEqual(await computed('repvgg_deploy'));
  const [train, deploy] = [
    await importOnnx<Model>(file('repvgg_train')),
    await importOnnx<Model>(file('repvgg_deploy')),
  ];
  const { whole } = await verifyEquivalence(train, deploy, { inputDims: { images: [3, 3, 32, 40] } });
  expect(whole.relativeL2).toBeLessThan(1e-6);
});

test('activations, residual sums and branches go into convolutions', async () => {
  for (const name of ['resnet', 'mobilenet', 'detector', 'unet']) {
    const counts = await computed(name);
    expect([name, counts.BatchNormalization, counts.Relu, counts.Clip]).toEqual([
      name,
      undefined,
      undefined,
      undefined,
    ]);
  }
  expect((await computed('resnet')).Add).toBeUndefined();
});
