import { InferenceSession, importOnnx, type Model } from '../../lib';
import { attributeTypes, graph as graphFields, modelFields, type Node } from '../../lib/formats/onnx/schema';
import { type Draft, decode, encode } from '../../lib/formats/onnx/wire';
import { type NodeSketch, onnxFile } from '../support/onnx-files';
import { expectRejection } from '../support/refusal';

type FunctionDraft = NonNullable<Draft<typeof modelFields>['functions']>[number];

const domain = 'pkg.layers';
const call = (opType: string, inputs: string[], outputs: string[], more: Partial<Node> = {}): Node => ({
  opType,
  inputs,
  outputs,
  domain,
  name: outputs[0] as string,
  ...more,
});
const own = (...[opType, inputs, outputs]: NodeSketch): Node => ({ opType, inputs, outputs });

/** A file whose nodes are these, with functions. */
function file(nodes: readonly Node[], functions: readonly FunctionDraft[]): Uint8Array {
  const plain = decode(modelFields, onnxFile({ inputs: { x: [3] }, outputs: ['y'], nodes: [] }));
  return encode(modelFields, {
    ...plain,
    graph: { ...plain.graph, nodes },
    functions: functions.map((body) => ({ domain, ...body })),
  });
}

async function run(bytes: Uint8Array): Promise<number[]> {
  const session = await InferenceSession.create(bytes);
  const { y } = await session.run({ x: { data: Float32Array.of(-2, 0, 4), dims: [3] } });
  session.dispose();
  return Array.from(y?.data ?? [], Number);
}

/** LeakyRelu of the caller's slope, then the double of it. */
const leaky: FunctionDraft = {
  name: 'Leaky',
  inputs: ['in'],
  outputs: ['out'],
  nodes: [
    {
      ...own('LeakyRelu', ['in'], ['t']),
      attributes: [{ name: 'alpha', reference: 'slope', type: attributeTypes.float }],
    },
    own('Add', ['t', 't'], ['out']),
  ],
  defaults: [{ name: 'slope', float: 0.25, type: attributeTypes.float }],
};

test('a call becomes the nodes of the function, with the attributes of the caller or their defaults', async () => {
  const slope = [{ name: 'slope', float: 0.5, type: attributeTypes.float }];
  const bytes = file([call('Leaky', ['x'], ['m'], { attributes: slope }), call('Leaky', ['m'], ['y'])], [leaky]);
  expect(await run(bytes)).toEqual([-1, 0, 16]);
  const { graph } = await importOnnx<Model>(bytes);
  expect(graph.nodes.map(({ name }) => name)).toEqual(['m/LeakyRelu', 'm/Add', 'y/LeakyRelu', 'y/Add']);
});

test('functions call functions; absent inputs and outputs stay absent', async () => {
  const twice: FunctionDraft = {
    name: 'Twice',
    inputs: ['a', 'low'],
    outputs: ['b', 'c'],
    nodes: [call('Leaky', ['a'], ['t']), own('Clip', ['t', 'low'], ['b']), own('Neg', ['t'], ['c'])],
  };
  expect(await run(file([call('Twice', ['x'], ['y'])], [leaky, twice]))).toEqual([-1, 0, 8]);
});

/** LeakyRelu of the caller's slope where there are as many numbers as `count`, else their negatives; and a sum with the input. */
const branching: FunctionDraft = {
  name: 'Branching',
  inputs: ['in', 'count'],
  outputs: ['out'],
  nodes: [
    own('Size', ['in'], ['size']),
    own('Equal', ['size', 'count'], ['fits']),
    {
      ...own('If', ['fits'], ['chosen']),
      attributes: [
        {
          name: 'then_branch',
          type: attributeTypes.graph,
          graph: encode(graphFields, {
            name: 'yes',
            nodes: [
              {
                ...own('LeakyRelu', ['in'], ['t']),
                attributes: [{ name: 'alpha', reference: 'slope', type: attributeTypes.float }],
              },
              call('Leaky', ['t'], ['v']),
            ],
            outputs: [{ name: 'v' }],
          }),
        },
        {
          name: 'else_branch',
          type: attributeTypes.graph,
          graph: encode(graphFields, { name: 'no', nodes: [own('Neg', ['in'], ['v'])], outputs: [{ name: 'v' }] }),
        },
      ],
    },
    own('Add', ['chosen', 'in'], ['out']),
  ],
};

test('a branch in a function reads values of the function, and attributes of its caller', async () => {
  const slope = [{ name: 'slope', float: 0.5, type: attributeTypes.float }];
  const twice = [
    own('Size', ['x'], ['three']),
    own('Add', ['three', 'three'], ['six']),
    call('Branching', ['x', 'three'], ['m'], { attributes: slope }),
    call('Branching', ['m', 'six'], ['y'], { attributes: slope }),
  ];
  // x is -2, 0, 4: twice a leaky ReLU, plus x; then zeros.
  expect(await run(file(twice.slice(0, 3).concat(own('Identity', ['m'], ['y'])), [leaky, branching]))).toEqual([
    -2.5, 0, 12,
  ]);
  expect(await run(file(twice, [leaky, branching]))).toEqual([0, 0, 0]);
});

test('functions that call themselves, or whose nodes multiply, are refused at once', async () => {
  const loop: FunctionDraft = { name: 'F', inputs: ['a'], outputs: ['b'], nodes: [call('F', ['a'], ['b'])] };
  await expectRejection(importOnnx(file([call('F', ['x'], ['y'])], [loop])), 'ERR_LIMIT', 'in the function F');
  const doubling = Array.from({ length: 30 }, (_, i): FunctionDraft => {
    const inner = (from: string, to: string): Node =>
      i === 0 ? own('Relu', [from], [to]) : call(`F${i - 1}`, [from], [to]);
    return { name: `F${i}`, inputs: ['a'], outputs: ['b'], nodes: [inner('a', 't'), inner('t', 'b')] };
  });
  await expectRejection(importOnnx(file([call('F29', ['x'], ['y'])], doubling)), 'ERR_LIMIT', 'nodes in functions');
});

test('branches with large tensors are not copied for any number of calls', async () => {
  const large = { name: 'large', dims: [2 ** 20], dataType: 1, rawData: new Uint8Array(2 ** 22) };
  const branch = encode(graphFields, {
    nodes: [own('Relu', ['a'], ['v'])],
    outputs: [{ name: 'v' }],
    initializers: [large],
  });
  const attributes = ['then_branch', 'else_branch'].map((name) => ({
    name,
    type: attributeTypes.graph,
    graph: branch,
  }));
  const heavy: FunctionDraft = {
    name: 'Heavy',
    inputs: ['a'],
    outputs: ['b'],
    nodes: [own('Size', ['a'], ['n']), { ...own('If', ['n'], ['b']), attributes }],
  };
  const calls = Array.from({ length: 50 }, (_, i) =>
    call('Heavy', [i === 0 ? 'x' : `v${i - 1}`], [i === 49 ? 'y' : `v${i}`]),
  );
  await expectRejection(importOnnx(file(calls, [heavy])), 'ERR_LIMIT', 'nodes in functions');
});

test('what is wrong in a function is named by its caller', async () => {
  const bad: FunctionDraft = { name: 'G', inputs: ['a'], outputs: ['b'], nodes: [own('Relu', ['zz'], ['b'])] };
  await expectRejection(importOnnx(file([call('G', ['x'], ['y'])], [bad])), 'ERR_MODEL_FORMAT', '"y/Relu" (reads y/zz');
  const odd: FunctionDraft = { name: 'G', inputs: ['a'], outputs: ['b'], nodes: [own('Loop', ['a'], ['b'])] };
  await expectRejection(
    importOnnx(file([call('G', ['x'], ['y'])], [odd])),
    'ERR_MODEL_INCOMPATIBLE',
    '"y/Loop" (Loop)',
  );
});
