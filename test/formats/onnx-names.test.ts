import { Conv2d, QARepVGGBlock, type QuantizedModel, quantize, randn } from '../../lib';
import { parseOnnx, serializeOnnx } from '../../lib/formats/onnx/document';
import { type Graph, modelFields } from '../../lib/formats/onnx/schema';
import { decode } from '../../lib/formats/onnx/wire';
import { jsonOf } from '../support/child';
import { deployNetwork, tiny } from '../support/networks';

const block = (seed: number): QARepVGGBlock =>
  new QARepVGGBlock({ inChannels: 8, outChannels: 8, seed }).eval().switchToDeploy();

/** What is wrong with the names of a graph: every value is defined once, before it is used. */
function problems({ nodes = [], initializers = [], inputs = [], outputs = [] }: Graph): string[] {
  const known = new Set<string>();
  const odd: string[] = [];
  const define = (name = ''): void => {
    if (known.has(name)) odd.push(`${name} twice`);
    known.add(name);
  };
  for (const { name } of [...inputs, ...initializers]) define(name);
  const names = nodes.map(({ name }) => name);
  if (new Set(names).size !== names.length) odd.push('a node twice');
  for (const node of nodes) {
    odd.push(...(node.inputs ?? []).filter((name) => !known.has(name)).map((name) => `${name} unknown`));
    for (const name of node.outputs ?? []) define(name);
  }
  return [...odd, ...outputs.filter(({ name = '' }) => !known.has(name)).map(({ name }) => `${name} unknown`)];
}

test.each<[string, () => Promise<QuantizedModel>]>([
  ['two blocks', async () => (await quantize([block(1), block(2)], [randn([2, 8, 9, 9])])).model],
  ['the same block twice', async () => (await quantize([block(1), block(1)], [randn([2, 8, 9, 9])])).model],
  [
    'blocks and convolutions, some in float',
    async () => {
      const conv = new Conv2d({ inChannels: 8, outChannels: 8, seed: 3 });
      const options = { keepFloat: ['0.conv', '2.conv'] };
      return (await quantize([block(1), conv, block(2), conv], [randn([2, 8, 9, 9])], options)).model;
    },
  ],
  [
    'a block in front of a network',
    async () => {
      const network = deployNetwork('qarepvgg_d2se', { ...tiny, inChannels: 8 });
      return (await quantize([block(1), network], [randn([2, 8, 17, 17])])).model;
    },
  ],
])('%s: names are unique, and every weight is in the file', async (_, make) => {
  const model = await make();
  const { graph } = decode(modelFields, serializeOnnx(model));
  expect(problems(graph as Graph)).toEqual([]);
  const bytes = (data: NodeJS.TypedArray): string =>
    Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64');
  const written = new Set(graph?.initializers.map(({ rawData }) => bytes(rawData as Uint8Array)));
  for (const layer of model.layers) {
    if (layer.kind === 'conv') expect([layer.name, written.has(bytes(layer.weight))]).toEqual([layer.name, true]);
  }
});

test('a network reads back as it was', async () => {
  const { model } = await quantize(deployNetwork('qarepvgg_a0', tiny), [randn([2, 2, 17, 17])]);
  const file = serializeOnnx(model);
  expect(problems(decode(modelFields, file).graph as Graph)).toEqual([]);
  expect(Buffer.compare(serializeOnnx(parseOnnx<QuantizedModel>(file)), file)).toBe(0);
});

test('onnxruntime computes the same from a file of blocks', () => {
  for (const difference of jsonOf<number[]>(['test/support/onnxruntime-chain.mjs'])) {
    expect(difference).toBeLessThan(0.02);
  }
});
