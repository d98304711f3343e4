import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  exportOnnx,
  type Fetches,
  InferenceSession,
  importOnnx,
  loadModel,
  Model,
  randn,
  saveModel,
  verifyEquivalence,
} from '../../lib';
import { readRawSafetensors, writeSafetensors } from '../../lib/formats/safetensors';
import { temporaryFolder } from '../support/formats';
import { type ModelSketch, onnxFile } from '../support/onnx-files';
import { expectRejection } from '../support/refusal';

const folder = temporaryFolder();
const place = (name: string) => path.join(folder, name);

const weights = randn([4, 3, 3, 3]).data;

/** Attributes of every kind, tensors of several types, an absent input, a Constant, two outputs. */
const sketch: ModelSketch = {
  inputs: { images: ['n', 3, 'h', 'w'] },
  outputs: ['features', 'whole'],
  tensors: {
    w: [[4, 3, 3, 3], Array.from(weights)],
    high: [[], [2.5]],
    unused: [[1], [1]],
  },
  integers: { axes: [2, 3] },
  nodes: [
    ['Constant', [], ['slope'], { value_float: 0.25 }],
    ['Conv', ['images', 'w'], ['c'], { pads: [1, 1, 1, 1], auto_pad: 'NOTSET' }],
    ['LeakyRelu', ['c'], ['l'], { alpha: 0.5 }],
    ['Clip', ['l', '', 'high'], ['k']],
    ['Mul', ['k', 'slope'], ['features']],
    ['ReduceMean', ['features', 'axes'], ['m'], { keepdims: 0 }],
    ['Cast', ['m'], ['whole'], { to: 6 }],
  ],
};
const file = place('theirs.onnx');
writeFileSync(file, onnxFile(sketch));
const model = () => importOnnx<Model>(file);

async function run(source: string | Model): Promise<Fetches> {
  const session = await InferenceSession.create(source, { threads: 1 });
  const result = await session.run({ images: randn([2, 3, 7, 6], { seed: 3 }) });
  session.dispose();
  return result;
}

test('a model comes back from either kind of file as it was, and computes the same bits', async () => {
  const expected = await run(file);
  const first = await model();
  await saveModel(first, place('saved.safetensors'));
  await exportOnnx(first, place('exported.onnx'));
  for (const again of [
    await loadModel<Model>(place('saved.safetensors')),
    await loadModel<Model>(readFileSync(place('saved.safetensors'))),
    await importOnnx<Model>(place('exported.onnx')),
  ]) {
    expect(again).toBeInstanceOf(Model);
    expect(again.inputs).toEqual(first.inputs);
    expect(again.outputs.map(({ name }) => name)).toEqual(['features', 'whole']);
    expect(await run(again)).toEqual(expected);
  }
  expect(await run(place('saved.safetensors'))).toEqual(expected);
});

test('what is written of what was read is the same file, of either kind', async () => {
  await exportOnnx(await model(), place('1.onnx'));
  await exportOnnx(await importOnnx<Model>(place('1.onnx')), place('2.onnx'));
  expect(readFileSync(place('2.onnx'))).toEqual(readFileSync(place('1.onnx')));
  await saveModel(await model(), place('1.safetensors'));
  await saveModel(await loadModel<Model>(place('1.safetensors')), place('2.safetensors'));
  expect(readFileSync(place('2.safetensors'))).toEqual(readFileSync(place('1.safetensors')));
  await exportOnnx(await loadModel<Model>(place('1.safetensors')), place('3.onnx'));
  expect(readFileSync(place('3.onnx'))).toEqual(readFileSync(place('1.onnx')));
});

test('labels and preprocessing stay with a model', async () => {
  const labels = ['a "b"', "it's", 'ä\\n'];
  const preprocessing = { mean: [0.1, 0.2, 0.3], std: [1, 2, 3] };
  const told = (await model()).with({ labels }).with({ preprocessing });
  await saveModel(told, place('told.safetensors'));
  await exportOnnx(told, place('told.onnx'));
  for (const name of ['told.safetensors', 'told.onnx']) {
    const session = await InferenceSession.create(place(name));
    expect([session.labels, session.preprocessing]).toEqual([labels, preprocessing]);
    session.dispose();
  }
  expect(() => told.with({ labels: [1] as never })).toThrow('an array of names');
  expect(() => told.with({ preprocessing: { mean: [0], std: [1] } })).toThrow('each with 3 finite numbers');
});

describe('names of classes in metadata, as exporters of detectors write them', () => {
  test.each([
    ["{0: 'person', 1: 'traffic light'}", ['person', 'traffic light']],
    [`{1: "it's", 0: 'a\\'b'}`, ["a'b", "it's"]],
    ["{0: 'a', 2: 'b'}", undefined],
    ['["a", "b"]', undefined],
    ["{0: 'a'", undefined],
    ['', undefined],
  ])('%s', async (text, labels) => {
    const bytes = onnxFile({ ...sketch, metadata: { names: text } });
    expect((await importOnnx<Model>(bytes)).labels).toEqual(labels);
  });

  test('a preprocessing that is none is refused', async () => {
    const bytes = onnxFile({ ...sketch, metadata: { 'qarepvgg.model.preprocessing': '{"mean":[1],"std":[0]}' } });
    await expectRejection(importOnnx(bytes), 'ERR_MODEL_FORMAT', 'preprocessing');
  });
});

describe('a safetensors file whose parts do not fit is refused', () => {
  /** The file with some of it changed, and a checksum that fits. */
  async function changed(tensors: object, metadata: object): Promise<string> {
    await saveModel(await model(), place('whole.safetensors'));
    const whole = await readRawSafetensors(place('whole.safetensors'));
    const name = place('changed.safetensors');
    await writeSafetensors(
      name,
      { ...whole.tensors, ...tensors } as never,
      { ...whole.metadata, ...metadata } as never,
    );
    return name;
  }
  const one = { dtype: 'F32', data: new Float32Array(1), dims: [1] };

  test.each([
    ['dims', { w: one }, {}, '"w" of F32 and dims [4, 3, 3, 3]'],
    ['type', { axes: { dtype: 'I32', data: new Int32Array(2), dims: [2] } }, {}, '"axes" of I64'],
    ['a tensor more', { more: one }, {}, 'also "more"'],
    ['no graph', {}, { graph: '' }, 'none'],
    ['a graph that is no base64', {}, { graph: '*' }, 'base64'],
    ['a graph that is damaged', {}, { graph: 'AAAA' }, 'damaged'],
    ['another version', {}, { formatVersion: '4' }, 'a newer release'],
  ])('%s', async (_, tensors, metadata, message) => {
    await expectRejection(loadModel(await changed(tensors, metadata)), 'ERR_MODEL_FORMAT', message);
  });

  test('a tensor less', async () => {
    await saveModel(await model(), place('whole.safetensors'));
    const { tensors, metadata } = await readRawSafetensors(place('whole.safetensors'));
    const { w: _, ...others } = tensors;
    await writeSafetensors(place('less.safetensors'), others as never, metadata);
    await expectRejection(loadModel(place('less.safetensors')), 'ERR_MODEL_FORMAT', 'received none');
  });

  test('every flipped byte is found', async () => {
    await saveModel(await model(), place('whole.safetensors'));
    const bytes = readFileSync(place('whole.safetensors'));
    for (let i = 0; i < bytes.length; i += 7) {
      const copy = Uint8Array.from(bytes);
      copy[i] = (copy[i] as number) ^ 4;
      await expect(loadModel(copy)).rejects.toMatchObject({ code: expect.stringMatching(/^ERR_/) });
    }
  });
});

describe('verifyEquivalence of models', () => {
  const other = async (scale: number) => {
    const values = Array.from(weights, (value) => value * scale);
    return importOnnx<Model>(onnxFile({ ...sketch, tensors: { ...sketch.tensors, w: [[4, 3, 3, 3], values] } }));
  };
  const inputDims = { images: [1, 3, 6, 5] };

  test('has an entry for each output', async () => {
    const same = await verifyEquivalence(await model(), await other(1), { inputDims, samples: 2 });
    expect([same.samples, same.blocks.map(({ name }) => name)]).toEqual([2, ['features', 'whole']]);
    expect(same.whole.relativeL2).toBe(0);
    const { whole, blocks } = await verifyEquivalence(await model(), await other(1.01), { inputDims });
    expect(whole.relativeL2).toBeGreaterThan(1e-3);
    expect(whole.relativeL2).toBe(Math.max(...blocks.map(({ relativeL2 }) => relativeL2)));
  });

  test('takes inputs, and refuses models that do not fit', async () => {
    const inputs = [{ images: randn([1, 3, 5, 5]) }, { images: randn([3, 3, 4, 4]) }];
    expect((await verifyEquivalence(await model(), await model(), { inputs })).samples).toBe(2);
    await expectRejection(verifyEquivalence(await model(), await model()), 'ERR_SHAPE', '[n, 3, h, w]');
    await expectRejection(verifyEquivalence(await model(), await model(), { inputs: [] }), 'ERR_INVALID_ARG', 'inputs');
    const renamed = await importOnnx<Model>(onnxFile({ ...sketch, outputs: ['features'] }));
    await expectRejection(verifyEquivalence(await model(), renamed), 'ERR_MODEL_INCOMPATIBLE', 'outputs');
  });
});

test('an exported file says which version its operators need', async () => {
  const gelu = onnxFile({ inputs: { x: [2] }, outputs: ['y'], nodes: [['Gelu', ['x'], ['y']]], opset: 20 });
  await exportOnnx(await importOnnx<Model>(gelu), place('gelu.onnx'));
  const session = await InferenceSession.create(place('gelu.onnx'));
  const { y } = await session.run({ x: { data: Float32Array.of(-1, 1), dims: [2] } });
  expect(Array.from(y?.data ?? [], Number)[1]).toBeCloseTo(0.8413447, 5);
  session.dispose();
});

test('a Split without lengths says how many parts it makes, as newer versions need', async () => {
  const split = onnxFile({ inputs: { x: [4] }, outputs: ['a', 'b'], nodes: [['Split', ['x'], ['a', 'b']]], opset: 13 });
  await exportOnnx(await importOnnx<Model>(split), place('split.onnx'));
  const { graph } = await importOnnx<Model>(place('split.onnx'));
  expect(graph.nodes[0]?.attributes).toMatchObject({ num_outputs: 2 });
});
