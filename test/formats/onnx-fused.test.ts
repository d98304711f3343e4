import { InferenceSession, importOnnx, type Model } from '../../lib';
import { jsonOf } from '../support/child';
import { type ModelSketch, type NodeSketch, onnxFile } from '../support/onnx-files';
import { expectRejection } from '../support/refusal';

const fused = (op: string): string => `com.microsoft:${op}`;
const images = (nodes: readonly NodeSketch[], more: Partial<ModelSketch> = {}): Uint8Array =>
  onnxFile({
    inputs: { x: [1, 1, 2, 2] },
    outputs: ['y'],
    nodes,
    tensors: { w: [[1, 1, 1, 1], [2]], b: [[1], [-3]] },
    ...more,
  });

test('operators of onnxruntime’s optimizer compute what they do there', () => {
  const differences = jsonOf<Record<string, number>>(['test/support/fused-ops.mjs']);
  expect(Object.keys(differences)).toHaveLength(45);
  expect(Object.entries(differences).filter(([, difference]) => !(difference < 1e-6))).toEqual([]);
});

/** Its levels of optimisation are themselves that far apart, see real-networks.test.ts. */
const wide: Readonly<Record<string, number>> = { 'ppocr-rec': 2e-5 };

test('files that onnxruntime has saved after its optimisations compute what the original ones do', () => {
  const names = ['yolov6n', 'mobilenetv2', 'ppocr-cls', 'ppocr-rec', 'blazeface-front', 'speech-embedding'];
  const found = jsonOf<Record<string, { difference: number; operators: string[] }>>([
    'test/support/optimized-files.mjs',
    JSON.stringify(names),
  ]);
  expect(Object.keys(found)).toEqual(expect.arrayContaining([...names, 'convnext', 'vit', 'detector', 'unet', 'yolo']));
  for (const [name, { difference }] of Object.entries(found))
    expect([name, difference < (wide[name] ?? 1e-5)]).toEqual([name, true]);
  const operators = new Set(Object.values(found).flatMap((each) => each.operators));
  expect([...operators].sort()).toEqual(['BiasGelu', 'FusedConv', 'FusedMatMul', 'Gelu', 'QuickGelu']);
});

test('they become operators of ONNX, whose names begin with that of the fused one', async () => {
  const node: NodeSketch = [fused('FusedConv'), ['x', 'w', 'b', 'x'], ['y'], { activation: 'Relu' }];
  const model = await importOnnx<Model>(images([node], { opset: 9 }));
  expect(model.graph.nodes.map(({ op, name }) => `${op} ${name}`)).toEqual(['conv y/Conv', 'add y/Add', 'relu y']);
  const session = await InferenceSession.create(model);
  const { y } = await session.run({ x: { data: Float32Array.of(0, 1, 2, 3), dims: [1, 1, 2, 2] } });
  expect(Array.from(y?.data ?? [], Number)).toEqual([0, 0, 3, 6]);
  session.dispose();
});

test.each([7, 9, 11, 18])('the bounds of a clip are inputs in any opset, %d too', async (opset) => {
  const node: NodeSketch = [fused('FusedConv'), ['x', 'w'], ['y'], { activation: 'Clip', activation_params: [1, 4] }];
  const session = await InferenceSession.create(images([node], { opset }));
  const { y } = await session.run({ x: { data: Float32Array.of(0, 1, 2, 3), dims: [1, 1, 2, 2] } });
  expect(Array.from(y?.data ?? [], Number)).toEqual([1, 2, 4, 4]);
  session.dispose();
});

test('all that is not known of them is named in one error', async () => {
  const nodes: NodeSketch[] = [
    [fused('FusedConv'), ['x', 'w'], ['a'], { activation: 'Sine' }],
    [fused('Attention'), ['a'], ['b'], { num_heads: 2 }],
    ['SimplifiedLayerNormalization', ['b', 'w'], ['c'], { axis: 1 }],
    ['other.domain:Gelu', ['c'], ['y']],
  ];
  const message =
    'received 4 that are not: "a" (FusedConv with activation "Sine"), "b" (Attention of domain com.microsoft), ' +
    '"c" (SimplifiedLayerNormalization with axis 1), "y" (Gelu of domain other.domain); docs/onnx.md lists the operators';
  await expectRejection(importOnnx(images(nodes)), 'ERR_MODEL_INCOMPATIBLE', message);
});

test('a fused node that is not valid is named', async () => {
  const refused = (op: string, inputs: string[], message: string, attributes = {}) =>
    expectRejection(importOnnx(images([[fused(op), inputs, ['y'], attributes]])), 'ERR_MODEL_FORMAT', message);
  await refused('FusedConv', ['x'], '"y" (FusedConv: expected 2 to 4 inputs, received 1)');
  await refused('BiasGelu', ['x', 'b'], '"y" (BiasGelu: attribute beta, which is not known)', { beta: 1.5 });
  const shape = importOnnx(images([[fused('FusedConv'), ['x', 'b'], ['y']]]));
  await expectRejection(shape, 'ERR_SHAPE', 'node "y" (Conv): expected weights');
});

test('files in the layout of one kind of processor are refused with a remedy', async () => {
  const nodes: NodeSketch[] = [
    ['com.microsoft.nchwc:ReorderInput', ['x'], ['a']],
    ['com.microsoft.nchwc:Conv', ['a', 'w'], ['b']],
    ['com.microsoft.nchwc:ReorderOutput', ['b'], ['y']],
  ];
  const file = importOnnx(images(nodes));
  await expectRejection(file, 'ERR_MODEL_INCOMPATIBLE', 'received 3 that are not: "a" (ReorderInput of domain com');
  await expectRejection(file, 'ERR_MODEL_INCOMPATIBLE', "save it at level 'extended' or 'basic'");
});
