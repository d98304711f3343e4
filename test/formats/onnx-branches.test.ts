import { exportOnnx, InferenceSession, importOnnx, type Model } from '../../lib';
import { attributeTypes, graph as graphFields, modelFields, type Node } from '../../lib/formats/onnx/schema';
import { decode, encode } from '../../lib/formats/onnx/wire';
import type { Dim } from '../../lib/graph/graph';
import { type NodeSketch, onnxFile } from '../support/onnx-files';
import { expectRejection } from '../support/refusal';

type Body = readonly (NodeSketch | Node)[];

const own = (node: NodeSketch | Node): Node => {
  if (!Array.isArray(node)) return node as Node;
  const [opType, inputs, outputs] = node as NodeSketch;
  return { opType, inputs, outputs, name: outputs[0] as string };
};

/** A branch whose last value is its output. It has the tensor `two`. */
function bodyOf(nodes: Body): Uint8Array {
  const { graph } = decode(modelFields, onnxFile({ outputs: [], nodes: [], tensors: { two: [[1], [2]] } }));
  const made = nodes.map(own);
  const outputs = [{ name: made.at(-1)?.outputs?.[0] as string }];
  return encode(graphFields, { ...graph, nodes: made, outputs });
}

const choose = (condition: string, yes: Body, no: Body, output = 'y'): Node => ({
  opType: 'If',
  name: output,
  inputs: [condition],
  outputs: [output],
  attributes: [
    { name: 'then_branch', graph: bodyOf(yes), type: attributeTypes.graph },
    { name: 'else_branch', graph: bodyOf(no), type: attributeTypes.graph },
  ],
});

/** Whether axis 1 of x has one element, as PyTorch asks before it squeezes, and then the nodes. */
function file(dims: readonly Dim[], nodes: Body): Uint8Array {
  const integers = { one: [1], first: [1] };
  const plain = decode(modelFields, onnxFile({ inputs: { x: dims }, outputs: ['y'], nodes: [], integers }));
  const asked: NodeSketch[] = [
    ['Shape', ['x'], ['shape']],
    ['Gather', ['shape', 'first'], ['length']],
    ['Equal', ['length', 'one'], ['isOne']],
  ];
  return encode(modelFields, { ...plain, graph: { ...plain.graph, nodes: [...asked, ...nodes].map(own) } });
}

const squeezed = choose('isOne', [['Squeeze', ['x', 'first'], ['v']]], [['Identity', ['x'], ['v']]]);

async function run(bytes: Uint8Array, ...all: number[][]): Promise<(readonly number[])[]> {
  const session = await InferenceSession.create(bytes);
  const found = [];
  for (const dims of all) {
    const data = Float32Array.from({ length: dims.reduce((a, b) => a * b) }, (_, i) => i + 1);
    const { y } = await session.run({ x: { data, dims } });
    found.push([...(y?.dims ?? []), ...Array.from(y?.data ?? [], Number)]);
  }
  session.dispose();
  return found;
}

test('a condition that follows from fixed dims decides when the file is read', async () => {
  const bytes = file([2, 1], [squeezed]);
  expect(await run(bytes, [2, 1])).toEqual([[2, 1, 2]]);
  const { graph } = await importOnnx<Model>(bytes);
  expect(graph.nodes.map(({ op }) => op)).not.toContain('branch');
});

test('a condition that follows from open dims decides for each size', async () => {
  const bytes = file(['n', 'w'], [squeezed]);
  expect(await run(bytes, [2, 1], [1, 2], [3, 1])).toEqual([
    [2, 1, 2],
    [1, 2, 1, 2],
    [3, 1, 2, 3],
  ]);
});

test('branches read values around them, have tensors and branches of their own, and may use the same names', async () => {
  const inner = choose('isOne', [['Add', ['x', 'two'], ['v']]], [['Mul', ['x', 'two'], ['v']]], 'w');
  const outer = choose('isOne', [['Sub', ['x', 'two'], ['w']]], [inner, ['Sub', ['w', 'two'], ['v']]]);
  const bytes = file(['n', 'w'], [outer]);
  expect(await run(bytes, [1, 1], [1, 2])).toEqual([
    [1, 1, -1],
    [1, 2, 0, 2],
  ]);
});

test('a branch that cannot be computed matters only where it is taken', async () => {
  const odd = choose('isOne', [['Unique', ['x'], ['v']]], [['Neg', ['x'], ['v']]]);
  const bytes = file(['n', 'w'], [odd]);
  expect(await run(bytes, [1, 2])).toEqual([[1, 2, -1, -2]]);
  await expectRejection(run(bytes, [2, 1]), 'ERR_MODEL_INCOMPATIBLE', '"v" (Unique)');
  await expectRejection(run(file([2, 1], [odd]), [2, 1]), 'ERR_MODEL_INCOMPATIBLE', '"v" (Unique)');
  const both = choose('isOne', [['Unique', ['x'], ['v']]], [['Unique', ['x'], ['v']]]);
  await expectRejection(importOnnx(file(['n', 'w'], [both])), 'ERR_MODEL_INCOMPATIBLE', '(If, in both branches: ');
});

test('a condition that is computed from data is refused when the file is read', async () => {
  const nodes: Body = [
    ['ArgMax', ['x'], ['most']],
    ['Cast', ['most'], ['c']],
    choose('c', [['Neg', ['x'], ['v']]], [['Abs', ['x'], ['v']]]),
  ];
  const cast = { ...own(nodes[1] as NodeSketch), attributes: [{ name: 'to', int: 9, type: attributeTypes.int }] };
  const bytes = file(['n', 'w'], [nodes[0] as NodeSketch, cast, nodes[2] as Node]);
  await expectRejection(importOnnx(bytes), 'ERR_MODEL_INCOMPATIBLE', 'follow from constants');
});

test('a graph that still has a branch is not written', async () => {
  const model = await importOnnx<Model>(file(['n', 'w'], [squeezed]));
  await expectRejection(
    exportOnnx(model, 'never.onnx'),
    'ERR_MODEL_INCOMPATIBLE',
    'export the network with fixed dims',
  );
});

test('If without branches, or with outputs that do not fit, is damaged', async () => {
  const missing = { ...squeezed, attributes: squeezed.attributes?.slice(0, 1) ?? [] };
  await expectRejection(importOnnx(file([2, 1], [missing])), 'ERR_MODEL_FORMAT', 'no else_branch');
  const two = { ...squeezed, outputs: ['y', 'z'] };
  await expectRejection(importOnnx(file([2, 1], [two])), 'ERR_MODEL_FORMAT', '2 outputs, but 1 of a branch');
});
