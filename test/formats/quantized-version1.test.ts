import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type ErrorCode, InferenceSession, loadModel, type QuantizedModel, saveModel, type Tensor } from '../../lib';
import { parseNpy } from '../../lib/formats/npy';
import { bits } from '../support/compare';
import { editedFile, type FileChange, parseSafetensors, renamed, scaleAt, temporaryFolder } from '../support/formats';
import { runIntegers } from '../support/integer';
import { expectRejection } from '../support/refusal';

// Quantised files of version 1 of the format have scales and zero points in lists; ../fixtures/quantized/make_version1.cjs.
const folder = temporaryFolder();
const fixture = (name: string): Buffer => readFileSync(path.join(__dirname, '..', 'fixtures', 'quantized', name));
const array = (name: string) => parseNpy(fixture(name)) as Tensor & { type: string };
const version1 = fixture('version1.safetensors');

test('computes what it did then', async () => {
  const model = await loadModel<QuantizedModel>(version1);
  const [images, expected] = [array('images.npy'), array('logits.npy')];
  const session = await InferenceSession.create(model);
  const { logits } = await session.run({ input: images });
  session.dispose();
  expect(bits(logits as Tensor)).toBe(bits(expected));
  expect(bits(runIntegers(model, images))).toBe(bits(expected));
});

test('is written again in version 4, by name', async () => {
  const model = await loadModel<QuantizedModel>(version1);
  const file = path.join(folder, 'version4.safetensors');
  await saveModel(model, file);
  const { metadata, tensors } = parseSafetensors(readFileSync(file));
  expect(metadata.formatVersion).toBe('4');
  const { activation_scale: scales, activation_zero_point: zeroPoints } = parseSafetensors(version1).tensors;
  const readers = ['stage0', 'stage1.0', 'stage1.1', 'stage2.0', 'stage3.1', 'stage4.0', 'pool', 'linear', 'output'];
  readers.forEach((reader, i) => {
    const [scale, zeroPoint] = [scales, zeroPoints].map((list) => list?.data.slice(i, i + 1));
    expect(tensors[`${reader}.input_scale`]).toEqual({ dtype: 'F32', data: scale, dims: [] });
    expect(tensors[`${reader}.input_zero_point`]).toEqual({ dtype: 'U8', data: zeroPoint, dims: [] });
  });
  const again = await loadModel<QuantizedModel>(file);
  expect([again.layers, again.output, again.recipe]).toEqual([model.layers, model.output, model.recipe]);
});

const noted = (from: string, to: string): FileChange => {
  return ({ __metadata__: metadata }) => {
    metadata.quantization = metadata.quantization?.replace(from, to) as string;
  };
};
const version4: FileChange = ({ __metadata__: metadata }) => {
  metadata.formatVersion = '4';
};
const matrix: FileChange = ({ activation_scale: scales }) => {
  if (scales) scales.shape = [3, 3];
};

test.each<[string, FileChange, ErrorCode, string]>([
  ['no scales', renamed('activation_scale', 'scales'), 'ERR_MODEL_FORMAT', 'tensor "activation_scale"'],
  ['no zero points', renamed('activation_zero_point', 'x'), 'ERR_MODEL_FORMAT', 'tensor "activation_zero_point"'],
  ['a matrix of scales', matrix, 'ERR_MODEL_FORMAT', 'dims [9], as the metadata say'],
  ['more layers in integers', noted('"stage3.0"', ''), 'ERR_MODEL_FORMAT', 'dims [10], as the metadata say'],
  ['logits in float', noted('"quantizeLogits":true', '"quantizeLogits":false'), 'ERR_MODEL_FORMAT', 'dims [8]'],
  ['a scale that is NaN', scaleAt('activation_scale', Number.NaN), 'ERR_QUANT_PARAM', 'layer stage0, input'],
  ['a parameter by name', renamed('linear.bias', 'pool.input_scale'), 'ERR_MODEL_FORMAT', 'tensor "linear.bias"'],
  ['lists in version 4', version4, 'ERR_MODEL_FORMAT', 'tensor "stage0.input_scale"'],
])('is refused with %s', async (_, change, code, message) => {
  await expectRejection(loadModel(editedFile(version1, change)), code, message);
});

test('is refused with a tensor too many', async () => {
  const change: FileChange = (header, data) => {
    header['pool.input_scale'] = { dtype: 'F32', shape: [0], data_offsets: [data.length, data.length] };
  };
  await expectRejection(loadModel(editedFile(version1, change)), 'ERR_MODEL_FORMAT', 'also "pool.input_scale"');
});
