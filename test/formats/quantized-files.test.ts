import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  Conv2d,
  createModel,
  exportOnnx,
  importOnnx,
  loadModel,
  Model,
  type Network,
  type QuantizedModel,
  type QuantizeOptions,
  quantize,
  randn,
  saveModel,
  Trainer,
} from '../../lib';
import { parseOnnx, serializeOnnx } from '../../lib/formats/onnx/document';
import { type Graph, modelFields } from '../../lib/formats/onnx/schema';
import { decode, encode } from '../../lib/formats/onnx/wire';
import { bits } from '../support/compare';
import { editedFile, type FileChange, type FileHeader, renamed, scaleAt, temporaryFolder } from '../support/formats';
import { runIntegers } from '../support/integer';
import { deployNetwork, smallOptions, tiny } from '../support/networks';
import { expectRefusal, expectRejection } from '../support/refusal';

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);
const x = randn([2, 2, 17, 17], { seed: 5 });
const images = [randn([4, 2, 17, 17], { seed: 1 })];
const labels = ['a', 'é', '日本', '', '__proto__'];
const float = deployNetwork('qarepvgg_a0', { ...tiny, labels });

/** What must come back with a model. */
function contents(model: QuantizedModel) {
  const { form, options, recipe, inChannels, preprocessing } = model;
  return { form, options, recipe, inChannels, preprocessing, layers: model.layers, output: model.output };
}

const recipes: readonly (readonly [string, QuantizeOptions, Network])[] = [
  ['the default', {}, float],
  ['logits rounded', { quantizeLogits: true }, float],
  ["the paper's", { method: 'minmax', scheme: 'symmetric', perChannel: false }, float],
  ['layers in float', { keepFloat: ['stage0', 'stage3.1', 'linear'], bits: { weights: 6, activations: 5 } }, float],
  [
    'all in float',
    { keepFloat: ['stage0', 'stage1.0', 'stage1.1', 'stage2.0', 'stage3.0', 'stage3.1', 'stage4.0', 'linear'] },
    float,
  ],
  ['groups', { equalize: true }, deployNetwork('qarepvgg_b1g4', { ...tiny, channels: [4, 4, 8, 8, 16] })],
  ['squeeze-and-excitation', { biasCorrection: true }, deployNetwork('qarepvgg_d2se', tiny)],
];

test.each(recipes)('%s: what comes back from both kinds of file is what was saved', async (_, options, network) => {
  const { model } = await quantize(network, images, options);
  await saveModel(model, file('model.safetensors'));
  await exportOnnx(model, file('model.onnx'));
  for (const back of [
    await loadModel<QuantizedModel>(file('model.safetensors')),
    await importOnnx<QuantizedModel>(file('model.onnx')),
  ]) {
    expect(contents(back)).toEqual(contents(model));
    expect(bits(runIntegers(back, x))).toBe(bits(runIntegers(model, x)));
    expect(Buffer.compare(serializeOnnx(back), readFileSync(file('model.onnx')))).toBe(0);
  }
});

test('a file is about a quarter of the one in float', async () => {
  const large = deployNetwork('qarepvgg_a0', { ...smallOptions, channels: [32, 48, 64, 128, 160] });
  await saveModel(large, file('float'));
  await saveModel((await quantize(large, [randn([2, 3, 32, 32])])).model, file('int8'));
  expect(statSync(file('int8')).size / statSync(file('float')).size).toBeLessThan(0.265);
});

test('what is no network, or no quantised one, is refused', async () => {
  const { model } = await quantize(new Conv2d({ inChannels: 2, outChannels: 2 }), images);
  await expectRejection(saveModel(model, file('x')), 'ERR_MODEL_INCOMPATIBLE', 'a quantised network');
  // ONNX has no need to know what it is; what comes back is a graph as any other.
  await exportOnnx(model, file('x.onnx'));
  expect(await importOnnx(file('x.onnx'))).toBeInstanceOf(Model);
  await saveModel((await quantize(float, images)).model, file('int8'));
  const trainer = new Trainer(createModel('qarepvgg_a0', { ...tiny, labels }));
  await expectRejection(trainer.loadCheckpoint(file('int8')), 'ERR_MODEL_FORMAT', 'a quantised network');
});

describe('a file that is not what it says is refused', () => {
  let good: Buffer;
  let onnx: Uint8Array;

  beforeAll(async () => {
    const small = deployNetwork('qarepvgg_a0', { ...tiny, blocks: [1, 1, 1, 1], channels: [1, 1, 1, 1, 1] });
    const { model } = await quantize(small, images, { quantizeLogits: true });
    await saveModel(model, file('small'));
    good = readFileSync(file('small'));
    onnx = serializeOnnx(model);
  });

  function save(bytes: Uint8Array): string {
    writeFileSync(file('bad'), bytes);
    return file('bad');
  }

  const edited = (change: FileChange): string => save(editedFile(good, change));

  const notes =
    (change: (notes: Record<string, unknown>) => unknown) =>
    (header: FileHeader): void => {
      const metadata = header.__metadata__;
      const given = JSON.parse(metadata.quantization as string) as Record<string, unknown>;
      metadata.quantization = JSON.stringify(change(given) ?? given);
    };
  test.each<[string, FileChange, string]>([
    ['no notes', (h) => delete h.__metadata__.quantization, 'metadata quantization, received none'],
    ['notes that are no JSON', (h) => Object.assign(h.__metadata__, { quantization: '{' }), 'expected JSON'],
    ['notes that are no object', notes(() => 5), 'an object'],
    ['no method', notes((n) => ({ ...n, method: 'guess' })), 'a valid method'],
    ['no scheme', notes((n) => ({ ...n, scheme: undefined })), 'a valid scheme'],
    ['weights of 99 bits', notes((n) => ({ ...n, weightBits: 99 })), 'a valid weightBits, received 99'],
    ['activations of 3 bits', notes((n) => ({ ...n, activationBits: 3 })), 'a valid activationBits'],
    ['no count of images', notes((n) => ({ ...n, images: -1 })), 'a valid images'],
    [
      'layers in float that are in integers',
      notes((n) => ({ ...n, keepFloat: ['linear'] })),
      '"linear.weight" of type F32',
    ],
    ['layers in float that there are not', notes((n) => ({ ...n, keepFloat: ['pool'] })), 'keepFloat among'],
    ['logits in float', notes((n) => ({ ...n, quantizeLogits: false })), 'also "output.input_scale"'],
    ['another form', (h) => Object.assign(h.__metadata__, { form: 'deploy' }), 'also "linear.input_scale"'],
    ['a version to come', (h) => Object.assign(h.__metadata__, { formatVersion: '5' }), 'a newer release'],
    ['an older version', (h) => Object.assign(h.__metadata__, { formatVersion: '1' }), '"activation_scale"'],
    ['no scale of a layer', renamed('pool.input_scale', 'scale'), '"pool.input_scale" of type F32'],
    ['no zero point of a layer', renamed('pool.input_zero_point', 'zero'), '"pool.input_zero_point" of type U8'],
    ['no scale of the logits', renamed('output.input_scale', 'scale'), '"output.input_scale" of type F32'],
    [
      'a scale with a dim',
      (h) => Object.assign(h['pool.input_scale'] ?? {}, { shape: [1] }),
      'received F32 of dims [1]',
    ],
    ['a tensor of another type', (h) => Object.assign(h['linear.weight'] ?? {}, { dtype: 'U8' }), 'of type I8'],
    [
      'a tensor of other dims',
      (h) => Object.assign(h['linear.weight'] ?? {}, { shape: [1, 5] }),
      'received I8 of dims',
    ],
    ['a tensor of another name', renamed('linear.weight_scale', 'linear.weight_scales'), 'received none'],
    ['more layers', (h) => Object.assign(h.__metadata__, { blocks: '[1,1,1,2]' }), 'expected tensor'],
  ])('%s', async (_, change, message) => {
    await expectRejection(loadModel(edited(change)), 'ERR_MODEL_FORMAT', message);
  });

  test.each(['extra', 'activation_scale', 'toString'])('a tensor too many: %s', async (name) => {
    const path = edited((header, data) => {
      header[name] = { dtype: 'U8', shape: [0], data_offsets: [data.length, data.length] };
    });
    await expectRejection(loadModel(path), 'ERR_MODEL_FORMAT', `also "${name}"`);
  });

  test.each<[string, string, number]>([
    ['linear.weight_scale', 'layer linear, weight scale 0', 0],
    ['linear.weight_scale', 'layer linear, weight scale 0', -1],
    ['linear.weight_scale', 'layer linear, weight scale 0', Number.NaN],
    ['linear.weight_scale', 'layer linear, weight scale 0', Number.POSITIVE_INFINITY],
    ['linear.weight_scale', 'layer linear, weight scale 0', 1e-40],
    ['linear.weight_scale', 'times input scale', 2 ** -126],
    ['stage0.input_scale', 'layer stage0, input', 0],
    ['stage0.input_scale', 'layer stage0, input', Number.NaN],
    ['pool.input_scale', 'layer pool, input', Number.POSITIVE_INFINITY],
    ['output.input_scale', 'output', 1e-45],
  ])('a %s that cannot be computed with: %s, %d', async (name, message, value) => {
    await expectRejection(loadModel(edited(scaleAt(name, value))), 'ERR_QUANT_PARAM', message);
  });

  test('sums that could leave 32 bits', async () => {
    const path = edited((header, data) => {
      const [begin] = (header['linear.bias'] as { data_offsets: [number, number] }).data_offsets;
      data.writeInt32LE(2 ** 31 - 1, begin);
    });
    await expectRejection(loadModel(path), 'ERR_QUANT_PARAM', 'layer linear: expected sums below 2^31');
  });

  test('every truncation, and every byte turned over, is refused or harmless', async () => {
    const codes = new Set<string>();
    const attempt = async (bytes: Buffer): Promise<void> => {
      const error = await loadModel<QuantizedModel>(save(bytes)).then(
        (model) => expect(model.form).toBe('int8'),
        (reason: { code?: string }) => reason,
      );
      if (error) codes.add(`${error.code}`);
    };
    for (let length = 0; length < good.length; length += 3) await attempt(good.subarray(0, length));
    expect([...codes]).toEqual(['ERR_MODEL_FORMAT']);
    for (let i = 0; i < good.length; i++) {
      const bytes = Buffer.from(good);
      bytes[i] = (bytes[i] as number) ^ (1 << (i % 8));
      await attempt(bytes);
    }
    const known = ['ERR_MODEL_FORMAT', 'ERR_LIMIT', 'ERR_DTYPE', 'ERR_QUANT_PARAM'];
    expect([...codes].filter((code) => !known.includes(code))).toEqual([]);
  }, 300_000);

  test('an ONNX file with another graph, type, scale or zero', () => {
    const sealed = decode(modelFields, onnx);
    const read = { ...sealed, metadata: sealed.metadata.filter(({ key }) => !key?.startsWith('qarepvgg.checksum')) };
    const changed = (change: (graph: Graph) => Graph): Uint8Array =>
      encode(modelFields, { ...read, graph: change(read.graph as Graph) });
    const tensors = (change: (tensor: NonNullable<Graph['initializers']>[number]) => object) =>
      changed((graph) => ({
        ...graph,
        initializers: (graph.initializers ?? []).map((tensor) => ({ ...tensor, ...change(tensor) })),
      }));
    const withData = (name: string, rawData: Uint8Array) =>
      tensors((tensor) => (tensor.name === name ? { rawData } : {}));
    const refused: [Uint8Array, string][] = [
      [changed((graph) => ({ ...graph, nodes: (graph.nodes ?? []).slice(1) })), 'the graph'],
      [changed((graph) => ({ ...graph, nodes: [...(graph.nodes ?? [])].reverse() })), 'the graph'],
      [withData('linear.weight_zero_point', Uint8Array.of(1, 0, 0, 0, 0)), 'the graph'],
      [withData('linear.bias_scale', new Uint8Array(20)), 'the graph'],
      [tensors((tensor) => (tensor.name === 'linear.weight' ? { dataType: 2 } : {})), 'of type I8'],
      [tensors((tensor) => (tensor.name === 'linear.weight' ? { dataType: 11 } : {})), 'type 11'],
      [tensors((tensor) => (tensor.name === 'linear.weight' ? { name: 'other' } : {})), 'received none'],
    ];
    for (const [bytes, message] of refused) expectRefusal(() => parseOnnx(bytes), 'ERR_MODEL_FORMAT', message);
    expectRefusal(
      () => parseOnnx(withData('linear.weight_scale', new Uint8Array(20))),
      'ERR_QUANT_PARAM',
      'layer linear, weight scale 0',
    );
    expectRefusal(
      () => parseOnnx(withData('linear.bias', new Uint8Array(Int32Array.of(2 ** 31 - 1, 0, 0, 0, 0).buffer))),
      'ERR_QUANT_PARAM',
      'layer linear: expected sums below 2^31',
    );
    expect(contents(parseOnnx<QuantizedModel>(onnx)).layers).toHaveLength(7);
  });
});
