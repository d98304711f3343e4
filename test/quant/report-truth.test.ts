import { quantize, randn } from '../../lib';
import { countProducts, optimize } from '../../lib/graph/passes';
import { Model } from '../../lib/model/model';
import { atOnce } from '../../lib/slices';
import { jsonOf } from '../support/child';
import { graphOf } from '../support/onnx-files';

const fixtures = ['convnext', 'detector', 'mobilenet', 'repvgg_train', 'resnet', 'unet', 'vit', 'yolo'];
const names = [
  ...fixtures.map((name) => `test/fixtures/onnx/${name}.onnx`),
  ...['ppocr-cls', 'blazeface-front', 'mel-spectrogram', 'speech-embedding'],
];

test('the report has as many nodes in INT8 as the session computes in integers', () => {
  const results = jsonOf<Record<string, { report: number; session: number; nodes: number }>>([
    'test/support/quantized-report.mjs',
    JSON.stringify(names),
  ]);
  expect(Object.keys(results)).toEqual(names);
  for (const [name, { report, session, nodes }] of Object.entries(results)) {
    expect([name, report]).toEqual([name, session]);
    expect(nodes).toBeGreaterThan(0);
  }
});

test('a kernel that the engine cuts into several stays in float, and the report says so', async () => {
  const weight = (dims: readonly number[]) => [dims, [...randn([...dims], { seed: 5, std: 0.05 }).data]] as const;
  const graph = await graphOf({
    inputs: { x: ['n', 3, 40, 40] },
    outputs: ['y'],
    nodes: [
      ['Conv', ['x', 'v'], ['a']],
      ['Conv', ['a', 'w'], ['b']],
      ['Conv', ['b', 'v2'], ['y']],
    ],
    tensors: { v: weight([8, 3, 3, 3]), w: weight([8, 8, 20, 20]), v2: weight([8, 8, 3, 3]) },
  });

  const model = new Model(graph);
  const { model: quantized, report } = await quantize(model, [randn([1, 3, 40, 40], { seed: 1 })]);
  const products = countProducts(atOnce(optimize(quantized.graph, new Map([['x', [1, 3, 40, 40]]]))));
  const integer = report.layers.filter(({ precision }) => precision === 'int8').map(({ name }) => name);
  expect(integer).toHaveLength(products.integer);
  expect(report.layers.find(({ name }) => name === 'b')).toMatchObject({
    precision: 'float32',
    reason: 'no kernel computes it in integers',
  });
});
