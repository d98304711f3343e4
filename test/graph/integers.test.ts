import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportOnnx, InferenceSession, importOnnx, loadModel, type Model, randn, saveModel } from '../../lib';
import { within } from '../../lib/errors';
import type { Graph } from '../../lib/graph/graph';
import { optimize } from '../../lib/graph/passes';
import { atOnce } from '../../lib/slices';
import { graphOf, type ModelSketch, type NodeSketch, onnxFile } from '../support/onnx-files';

const parameters: NonNullable<ModelSketch['tensors']> = {
  s: [[], [0.5]],
  t: [[], [0.25]],
  ws: [[2], [0.25, 0.5]],
};
const zeros: NonNullable<ModelSketch['bytes']> = {
  z: ['uint8', [], [3]],
  z0: ['uint8', [], [0]],
  i: ['int8', [], [-125]],
  w: ['int8', [2, 2, 1, 1], [1, 2, 3, 4]],
};

/** x -> q -> xd and back, a convolution between. */
const quantize = (from: string, to: string, scale = 's', zero = 'z'): NodeSketch[] => [
  ['QuantizeLinear', [from, scale, zero], [`${to}q`]],
  ['DequantizeLinear', [`${to}q`, scale, zero], [to]],
];
const weight: NodeSketch = ['DequantizeLinear', ['w', 'ws'], ['wd'], { axis: 0 }];
const conv = (from: string, to: string): NodeSketch[] => [weight, ['Conv', [from, 'wd'], [to]]];

function sketch(nodes: readonly NodeSketch[], more: Partial<ModelSketch> = {}): ModelSketch {
  const { tensors, bytes, ...rest } = more;
  return {
    inputs: { x: ['n', 2, 4, 4] },
    outputs: ['y'],
    nodes,
    tensors: { ...parameters, ...tensors },
    bytes: { ...zeros, ...bytes },
    ...rest,
  };
}

async function optimized(what: ModelSketch, dims = [1, 2, 4, 4]): Promise<Graph> {
  return within('test', async () => atOnce(optimize(await graphOf(what), new Map([['x', dims]]))));
}

/** "quantizedConv relu, dequantize": what is left; with a table "+table". */
async function ops(what: ModelSketch, dims?: number[]): Promise<string> {
  const { nodes } = await optimized(what, dims);
  const places: Record<string, number> = { quantizedConv: 4, quantizedConvTranspose: 4, quantizedBinary: 2 };
  return nodes
    .map(({ op, activation, inputs }) => {
      const table = places[op] !== undefined && inputs[places[op]] ? '+table' : '';
      return `${op}${activation ? ` ${activation.kind}` : ''}${table}`;
    })
    .join(', ');
}

test.each<[string, readonly NodeSketch[], string]>([
  ['a convolution', [...quantize('x', 'a'), ...conv('a', 'b'), ...quantize('b', 'y')], 'quantizedConv, dequantize'],
  ['one whose result is floats', [...quantize('x', 'a'), ...conv('a', 'y')], 'quantizedConv'],
  ['ReLU of such a result', [...quantize('x', 'a'), ...conv('a', 'b'), ['Relu', ['b'], ['y']]], 'quantizedConv relu'],
  [
    'ReLU behind it',
    [...quantize('x', 'a'), ...conv('a', 'b'), ['Relu', ['b'], ['c']], ...quantize('c', 'y')],
    'quantizedConv relu, dequantize',
  ],
  [
    'SiLU, each of its operators rounded',
    [
      ...[...quantize('x', 'a'), ...conv('a', 'b'), ...quantize('b', 'c')],
      ...[['Sigmoid', ['c'], ['d']] as NodeSketch, ...quantize('d', 'e', 't', 'z0')],
      ...[['Mul', ['c', 'e'], ['f']] as NodeSketch, ...quantize('f', 'y', 't')],
    ],
    'quantizedConv+table, dequantize',
  ],
  [
    'a residual',
    [
      ...[...quantize('x', 'a'), ...conv('a', 'b'), ...quantize('b', 'c', 't')],
      ...[['Add', ['a', 'c'], ['d']] as NodeSketch, ['Relu', ['d'], ['e']] as NodeSketch, ...quantize('e', 'y')],
    ],
    'quantize, quantizedConv, quantizedBinary+table, dequantize',
  ],
  [
    'concatenation with another scale',
    [
      ...[...quantize('x', 'a'), ...conv('a', 'b'), ...quantize('b', 'c')],
      ...[['Concat', ['a', 'c'], ['d'], { axis: 1 }] as NodeSketch, ...quantize('d', 'y', 't')],
    ],
    'quantize, quantizedConv, concat, quantizedTable, dequantize',
  ],
  [
    'rounded behind a max pool',
    [
      ...[...quantize('x', 'a'), ...conv('a', 'b')],
      ...[['MaxPool', ['b'], ['c'], { kernel_shape: [2, 2] }] as NodeSketch, ...quantize('c', 'y')],
    ],
    'quantizedConv, maxPool, dequantize',
  ],
  ['an operator of floats', [...quantize('x', 'a'), ['Softmax', ['a'], ['b']], ...quantize('b', 'y')], ''],
])('%s', async (_, nodes, expected) => {
  const left = await ops(sketch(nodes));
  if (expected) expect(left).toBe(expected);
  else expect(left).toBe('quantize, dequantize, softmax, quantize, dequantize');
});

test.each([
  [7, 'quantizedConv, sigmoid'],
  [8, 'quantizedConv sigmoid'],
])('a function of floats after a convolution to %d channels: %s', async (channels, expected) => {
  const tensors = { ws: [[channels], Array(channels).fill(0.25)] } as const;
  const bytes = { w: ['int8', [channels, 2, 1, 1], Array(2 * channels).fill(1)] } as const;
  const nodes: NodeSketch[] = [...quantize('x', 'a'), ...conv('a', 'b'), ['Sigmoid', ['b'], ['y']]];
  expect(await ops(sketch(nodes, { tensors, bytes }))).toBe(expected);
});

test('signed integers become unsigned: those of an activation, raised by 128', async () => {
  const nodes = [...quantize('x', 'a', 's', 'i'), ...conv('a', 'b'), ...quantize('b', 'y', 's', 'i')];
  const { nodes: left } = await optimized(sketch(nodes));
  expect(left[0]?.attributes).toMatchObject({ inputZeroPoint: 3, outputZeroPoint: 3 });
  const graph = await graphOf(sketch(nodes));
  expect([...graph.tensors.values()].map(({ type }) => type)).toContain('uint8');
});

test('QLinearConv is read as a convolution between conversions', async () => {
  const inputs = ['aq', 's', 'z', 'w', 'ws', 'wz', 't', 'z', 'bias'];
  const bytes = { wz: ['int8', [2], [0, 0]] as const, bias: ['int32', [2], [7, -9]] as const };
  const nodes: NodeSketch[] = [
    ['QuantizeLinear', ['x', 's', 'z'], ['aq']],
    ['QLinearConv', inputs, ['bq']],
    ['DequantizeLinear', ['bq', 't', 'z'], ['y']],
  ];
  const { nodes: left, tensors } = await optimized(sketch(nodes, { bytes }));
  expect(left.map(({ op }) => op)).toEqual(['quantizedConv', 'dequantize']);
  expect([...(tensors.get(left[0]?.inputs[2] as string)?.data ?? [])]).toEqual([7, -9]);
});

test("operators in integers of onnxruntime's quantiser, and moves of integers", async () => {
  const bytes = { wz: ['int8', [2], [0, 0]] as const };
  const nodes: NodeSketch[] = [
    ['QuantizeLinear', ['x', 's', 'z'], ['aq']],
    ['QLinearConv', ['aq', 's', 'z', 'w', 'ws', 'wz', 't', 'z'], ['bq']],
    ['com.microsoft:QLinearSigmoid', ['bq', 't', 'z', 't', 'z0'], ['cq']],
    ['com.microsoft:QLinearMul', ['bq', 't', 'z', 'cq', 't', 'z0', 't', 'z'], ['dq']],
    ['com.microsoft:QLinearAdd', ['aq', 's', 'z', 'dq', 't', 'z', 's', 'z'], ['eq']],
    ['MaxPool', ['eq'], ['fq'], { kernel_shape: [2, 2] }],
    ['com.microsoft:QLinearConcat', ['s', 'z', 'fq', 's', 'z', 'fq', 's', 'z'], ['gq'], { axis: 1 }],
    ['com.microsoft:QLinearGlobalAveragePool', ['gq', 's', 'z', 't', 'z'], ['hq'], { channels_last: 0 }],
    ['DequantizeLinear', ['hq', 't', 'z'], ['y']],
  ];
  const left = 'quantizedConv+table, quantizedBinary, maxPool, concat, quantizedGlobalAverage, dequantize';
  expect(await ops(sketch(nodes, { bytes }))).toBe(`quantize, ${left}`);
  const last = nodes.map(
    (node): NodeSketch => (node[3]?.channels_last === 0 ? [node[0], node[1], node[2], { channels_last: 1 }] : node),
  );
  await expect(graphOf(sketch(last, { bytes }))).rejects.toMatchObject({ code: 'ERR_MODEL_INCOMPATIBLE' });
});

test('weights that are rounded in the file are constants', async () => {
  const nodes: NodeSketch[] = [
    ['QuantizeLinear', ['f', 'ws', 'wz'], ['wq'], { axis: 0 }],
    ['DequantizeLinear', ['wq', 'ws', 'wz'], ['wd'], { axis: 0 }],
    ...quantize('x', 'a'),
    ['Conv', ['a', 'wd'], ['y']],
  ];
  const more = {
    tensors: {
      f: [
        [2, 2, 1, 1],
        [0.5, -1, 100, -2],
      ] as const,
    },
    bytes: { wz: ['int8', [2], [0, 0]] as const },
  };
  const { nodes: left, tensors } = await optimized(sketch(nodes, more));
  expect(left.map(({ op }) => op)).toEqual(['quantizedConv']);
  expect([...(tensors.get(left[0]?.inputs[1] as string)?.data ?? [])]).toEqual([2, -4, 127, -4]);
});

test('weights of a channel whose scale is zero count as zeros; such a channel alone', async () => {
  const tensors = { ws: [[2], [0, 0.5]] as const };
  const { nodes, tensors: left } = await optimized(sketch([...quantize('x', 'a'), ...conv('a', 'y')], { tensors }));
  const [w = '', , scale = ''] = nodes.flatMap(({ inputs }) => inputs.slice(1));
  expect([...(left.get(w)?.data ?? [])]).toEqual([0, 0, 3, 4]);
  expect([...(left.get(scale)?.data ?? [])]).toEqual([1, 0.5]);
});

test.each<[string, Partial<ModelSketch>, readonly NodeSketch[]]>([
  ['weights along the inputs', {}, [['DequantizeLinear', ['w', 'ws'], ['wd'], { axis: 1 }]]],
  ['weights that have no room in 8 bits', { bytes: { w: ['uint8', [2, 2, 1, 1], [1, 2, 3, 255]] } }, [weight]],
  [
    'sums that could leave 32 bits',
    { bytes: { k: ['int32', [2], [2 ** 31 - 1, 0]] }, tensors: { bs: [[2], [0.125, 0.25]] } },
    [weight, ['DequantizeLinear', ['k', 'bs'], ['bd'], { axis: 0 }]],
  ],
])('%s: computed in floats', async (_, more, nodes) => {
  const bias = more.bytes?.k ? ['bd'] : [];
  const all: NodeSketch[] = [...quantize('x', 'a'), ...nodes, ['Conv', ['a', 'wd', ...bias], ['b']]];
  expect(await ops(sketch([...all, ...quantize('b', 'y')], more))).toBe(
    'quantize, dequantize, conv, quantize, dequantize',
  );
});

test.each<[string, number]>([
  ['0', 0],
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-1', -1],
])('a scale of %s is refused with the name of the node', async (text, scale) => {
  const nodes = [...quantize('x', 'a', 'odd'), ...conv('a', 'y')];
  await expect(graphOf(sketch(nodes, { tensors: { odd: [[], [scale]] } }))).rejects.toMatchObject({
    code: 'ERR_QUANT_PARAM',
    message: `test, node "aq" (QuantizeLinear): expected a scale that is positive and not denormal, received ${text}`,
  });
});

test.each<[string, readonly NodeSketch[], string]>([
  [
    'a zero point of another type',
    [
      ['QuantizeLinear', ['x', 's', 'z'], ['q']],
      ['DequantizeLinear', ['q', 's', 'i'], ['y']],
    ],
    'test, node "y" (DequantizeLinear): expected a zero point of uint8, as its input is, received int8',
  ],
  [
    'scales that no axis has',
    [['QuantizeLinear', ['x', 'ws', 'z'], ['y'], { axis: 2 }]],
    'test, node "y" (QuantizeLinear): expected one scale and zero point, or 4 as axis 2 has, received [2]',
  ],
])('%s is refused', async (_, nodes, message) => {
  await expect(optimized(sketch(nodes))).rejects.toMatchObject({ code: 'ERR_SHAPE', message });
});

test('a pair that does not match: the integers stand for what their reader says', async () => {
  const nodes: NodeSketch[] = [
    ['QuantizeLinear', ['x', 's', 'z'], ['q']],
    ['DequantizeLinear', ['q', 't', 'z0'], ['a']],
    ...conv('a', 'y'),
  ];
  const { nodes: left } = await optimized(sketch(nodes));
  expect(left.map(({ op }) => op)).toEqual(['quantize', 'quantizedTable', 'quantizedConv']);
  expect(left[2]?.attributes).toMatchObject({ inputScale: 0.25, inputZeroPoint: 0 });
});

test.each<[string, (from: string, to: string) => NodeSketch]>([
  ['sums with itself', (from, to) => ['Add', [from, from], [to]]],
  ['ReLUs', (from, to) => ['Relu', [from], [to]]],
  ['transpositions', (from, to) => ['Transpose', [from], [to], { perm: [0, 1, 3, 2] }]],
])('a tower of %s takes no time', async (_, level) => {
  const tower = Array.from({ length: 3000 }, (_, i) => level(i === 0 ? 'a' : `a${i}`, `a${i + 1}`));
  const nodes = [...quantize('x', 'a'), ...tower, ...quantize('a3000', 'b'), ...conv('b', 'y')];
  expect(await ops(sketch(nodes))).toContain('quantizedConv');
});

test('conversions around what moves floats vanish', async () => {
  const nodes: NodeSketch[] = [
    ...[...quantize('x', 'a'), ...conv('a', 'b'), ...quantize('b', 'c')],
    ...[['Reshape', ['c', 'shape'], ['d']] as NodeSketch, ...quantize('d', 'e')],
    ...[['Transpose', ['e'], ['f'], { perm: [0, 2, 1] }] as NodeSketch, ...quantize('f', 'y', 't')],
  ];
  expect(await ops(sketch(nodes, { integers: { shape: [0, 2, 16] } }))).toBe(
    'quantizedConv+table, dequantize, reshape, transpose',
  );
});

test('a quantised model is the same once saved and loaded, and once exported and imported', async () => {
  const nodes = [...quantize('x', 'a'), ...conv('a', 'b'), ...quantize('b', 'y')];
  const model = (await importOnnx<Model>(onnxFile(sketch(nodes)))) as Model;
  expect(model.form).toBe('int8');
  expect(`${model}`).toBe('Model(x -> y, 6 nodes, int8 form)');
  const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-integers-'));
  try {
    const [saved, exported] = [join(folder, 'model.safetensors'), join(folder, 'model.onnx')];
    await saveModel(model, saved);
    await exportOnnx(model, exported);
    const images = { x: randn([3, 2, 4, 4], { seed: 1, std: 4 }) };
    const results = await Promise.all(
      [model, saved, exported].map(async (source) => {
        const session = await InferenceSession.create(source, { threads: 2 });
        const { y } = (await session.run(images)) as unknown as Record<string, { data: Float32Array }>;
        session.dispose();
        return y?.data;
      }),
    );
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
    const again = await loadModel<Model>(saved);
    expect([...again.graph.tensors.values()].map(({ type }) => type)).toContain('int8');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.each([
  ['z', 'quantizedConv, dequantize'],
  // Bytes of the engine are unsigned.
  ['i', 'quantizedConv, dequantize, mul round, add clip, cast, dequantize'],
])('integers that leave the graph: zero point %s', async (zero, expected) => {
  const nodes = [...quantize('x', 'a'), ...conv('a', 'b'), ...quantize('b', 'y', 's', zero)];
  expect(await ops(sketch(nodes, { outputs: ['y', 'yq'] }))).toBe(expected);
});

test('an image with channels last, transposed first, is rounded by the convolution', async () => {
  const nodes = [
    ['Transpose', ['x'], ['image'], { perm: [0, 3, 1, 2] }],
    ...quantize('image', 'a'),
    ...conv('a', 'y'),
  ] as NodeSketch[];
  const last = { inputs: { x: ['n', 4, 4, 2] } };
  expect(await ops(sketch(nodes, last), [1, 4, 4, 2])).toBe('transpose, quantizedConv');
  const shared = { ...last, outputs: ['y', 'image'] };
  expect(await ops(sketch(nodes, shared), [1, 4, 4, 2])).toBe('transpose, quantize, quantizedConv');
});
