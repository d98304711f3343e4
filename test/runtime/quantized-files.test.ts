import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randn } from '../../lib';
import { jsonOf } from '../support/child';
import { type ModelSketch, type NodeSketch, onnxFile } from '../support/onnx-files';

// Small graphs that other tools quantise, in our session and in onnxruntime.

interface Compared {
  /** Of the outputs. */
  readonly different: number;
  readonly relativeL2: number;
  readonly integer: number;
  readonly float: number;
}

/** @returns by name, what the sketches compute in batches of 1 and 3 */
function compare(sketches: Readonly<Record<string, ModelSketch>>): Record<string, Compared> {
  const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-files-'));
  try {
    const files = Object.entries(sketches).map(([name, sketch], i) => {
      const file = join(folder, `${i}.onnx`);
      writeFileSync(file, onnxFile(sketch));
      return [name, file] as const;
    });
    const results = jsonOf<Record<string, Compared>>([
      'test/support/quantized-networks.mjs',
      JSON.stringify(files.map(([, file]) => file)),
    ]);
    return Object.fromEntries(files.map(([name, file]) => [name, results[file] as Compared]));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A convolution of random weights, and its tensors. */
function conv(from: string, to: string, dims: readonly number[], attributes: NodeSketch[3] = {}) {
  const node: NodeSketch = ['Conv', [from, `${to}.w`, `${to}.b`], [to], attributes];
  return {
    node,
    tensors: {
      [`${to}.w`]: [dims, [...randn([...dims], { seed: dims.length, std: 0.3 }).data]] as const,
      [`${to}.b`]: [[dims[0] as number], Array(dims[0]).fill(0.1)] as const,
    },
  };
}

/** All products in integers, and the same bits but for what both compute in floats behind them. */
function expectIntegers(results: Readonly<Record<string, Compared>>, integer: number): void {
  const facts = Object.entries(results).map(([name, { relativeL2, ...counts }]) => ({
    name,
    integer: counts.integer,
    float: counts.float,
    isSame: relativeL2 < 1e-6,
  }));
  expect(facts).toEqual(Object.keys(results).map((name) => ({ name, integer, float: 0, isSame: true })));
}

test('first convolutions of any window', () => {
  const window = (dims: readonly number[], attributes: NodeSketch[3]): ModelSketch => {
    const { node, tensors } = conv('x', 'y', dims, attributes);
    return { inputs: { x: ['n', dims[1] as number, 37, 41] }, outputs: ['y'], nodes: [node], tensors };
  };
  const sketches = {
    'ViT, patches of 8': window([16, 3, 8, 8], { strides: [8, 8] }),
    'ViT, patches of 16': window([16, 3, 16, 16], { strides: [16, 16] }),
    AlexNet: window([16, 3, 11, 11], { strides: [4, 4], pads: [2, 2, 2, 2] }),
    'four channels': window([16, 4, 9, 9], { pads: [4, 4, 4, 4] }),
    'not square': window([16, 3, 3, 9], { strides: [1, 2], pads: [1, 4, 1, 4] }),
    'pads that differ': window([16, 1, 3, 3], { strides: [2, 2], pads: [0, 0, 1, 1] }),
    dilated: window([16, 3, 9, 3], { dilations: [2, 3], pads: [8, 0, 8, 3] }),
    'far strides': window([16, 2, 1, 3], { strides: [40, 5] }),
  };
  expectIntegers(compare(sketches), 1);
});

type Tensors = NonNullable<ModelSketch['tensors']>;

/** conv, the nodes between, conv again. */
function around(
  between: readonly NodeSketch[],
  dims: { input: readonly number[]; first: readonly number[]; second: readonly number[] },
  integers: Readonly<Record<string, readonly number[]>> = {},
): ModelSketch {
  const [first, second] = [conv('x', 'a', dims.first), conv('b', 'y', dims.second)];
  const tensors: Tensors = { ...first.tensors, ...second.tensors };
  const inputs = { x: ['n', ...dims.input] };
  return { inputs, outputs: ['y'], nodes: [first.node, ...between, second.node], tensors, integers };
}

test('convolutions behind what moves numbers', () => {
  const map = { input: [5, 8, 8], first: [8, 5, 3, 3], second: [4, 8, 1, 1] };
  const shuffle: NodeSketch[] = [
    ['Reshape', ['a', 'five'], ['a5']],
    ['Transpose', ['a5'], ['t5'], { perm: [0, 2, 1, 3, 4] }],
    ['Reshape', ['t5', 'four'], ['b']],
  ];
  const sketches = {
    Transpose: around([['Transpose', ['a'], ['b'], { perm: [0, 1, 3, 2] }]], map),
    DepthToSpace: around([['DepthToSpace', ['a'], ['b'], { blocksize: 2 }]], { ...map, second: [4, 2, 3, 3] }),
    SpaceToDepth: around([['SpaceToDepth', ['a'], ['b'], { blocksize: 2 }]], { ...map, second: [4, 32, 3, 3] }),
    'channel shuffle': around(shuffle, map, { five: [0, 2, 4, 6, 6], four: [0, 8, 6, 6] }),
    'channels last': around(
      [
        ['Transpose', ['a'], ['last'], { perm: [0, 2, 3, 1] }],
        ['Slice', ['last', 'from', 'to', 'axis'], ['part']],
        ['Transpose', ['part'], ['b'], { perm: [0, 3, 1, 2] }],
      ],
      map,
      { from: [1], to: [5], axis: [1] },
    ),
    'concatenation of rows': around([['Concat', ['a', 'a'], ['b'], { axis: 2 }]], map),
    'split of columns': around(
      [
        ['Split', ['a', 'halves'], ['left', 'right'], { axis: 3 }],
        ['Concat', ['right', 'left'], ['b'], { axis: -1 }],
      ],
      map,
      { halves: [2, 4] },
    ),
    Gather: around([['Gather', ['a', 'order'], ['b'], { axis: 1 }]], map, { order: [3, 1, 0, 2, 7, 6, 5, 4] }),
  };
  expectIntegers(compare(sketches), 2);
});

test('convolutions of lines', () => {
  const lines = { input: [5, 40], first: [8, 5, 3], second: [4, 8, 5] };
  const both = (dims: readonly number[]): ModelSketch => {
    const nodes: NodeSketch[] = [['Concat', ['a', 'r'], ['b'], { axis: 1 }]];
    return around([['Relu', ['a'], ['r']], ...nodes], { ...lines, second: dims });
  };
  const sketches = {
    plain: around([['Relu', ['a'], ['b']]], lines),
    'max pool': around([['MaxPool', ['a'], ['b'], { kernel_shape: [2], strides: [2] }]], lines),
    concatenation: both([4, 16, 3]),
    'channel shuffle': around(
      [
        ['Reshape', ['a', 'four'], ['a4']],
        ['Transpose', ['a4'], ['t4'], { perm: [0, 2, 1, 3] }],
        ['Reshape', ['t4', 'three'], ['b']],
      ],
      lines,
      { four: [0, 2, 4, 38], three: [0, 8, 38] },
    ),
  };
  expectIntegers(compare(sketches), 2);
});

test.each(['uint8', 'int8'] as const)('graphs from and to %s', (type) => {
  const zero = type === 'int8' ? -5 : 123;
  const bytes: ModelSketch['bytes'] = {
    w: ['int8', [8, 3, 3, 3], Array.from({ length: 216 }, (_, i) => ((i * 37) % 121) - 60)],
    z: [type, [], [zero]],
    wz: ['int8', [], [0]],
  };
  const tensors: Tensors = { s: [[], [0.03]], t: [[], [0.2]], ws: [[], [0.01]] };
  const common = {
    inputs: { x: ['n', 3, 9, 9] },
    types: { x: type, y: type },
    outputs: ['y'],
    bytes,
    tensors,
  } as const;
  const sketches = {
    QLinearConv: { ...common, nodes: [['QLinearConv', ['x', 's', 'z', 'w', 'ws', 'wz', 't', 'z'], ['y']]] },
    pairs: {
      ...common,
      nodes: [
        ['DequantizeLinear', ['x', 's', 'z'], ['xd']],
        ['DequantizeLinear', ['w', 'ws', 'wz'], ['wd']],
        ['Conv', ['xd', 'wd'], ['c']],
        ['QuantizeLinear', ['c', 't', 'z'], ['y']],
      ],
    },
  } satisfies Record<string, ModelSketch>;
  const results = compare(sketches);
  expectIntegers(results, 1);
  expect(Object.values(results).map(({ different }) => different)).toEqual([0, 0]);
});

test('products of tensors of any dims with constants', () => {
  const matrix = (rows: number, columns: number) =>
    [[rows, columns], [...randn([rows, columns], { seed: rows, std: 0.3 }).data]] as const;
  const tensors: Tensors = { w: matrix(12, 16), v: matrix(16, 7) };
  const two: NodeSketch[] = [
    ['MatMul', ['x', 'w'], ['a']],
    ['Relu', ['a'], ['b']],
    ['MatMul', ['b', 'v'], ['y']],
  ];
  const sketchOf = (...dims: number[]): ModelSketch => ({
    inputs: { x: ['n', ...dims, 12] },
    outputs: ['y'],
    nodes: two,
    tensors,
  });
  const pooled: ModelSketch = {
    ...sketchOf(4, 6),
    nodes: [
      ['MatMul', ['x', 'w'], ['a']],
      ['MaxPool', ['a'], ['b'], { kernel_shape: [2, 1] }],
      ['Concat', ['b', 'b'], ['c'], { axis: 1 }],
      ['MatMul', ['c', 'v'], ['y']],
    ],
  };
  expectIntegers(compare({ two: sketchOf(), three: sketchOf(5), four: sketchOf(3, 5), pooled }), 2);
});
