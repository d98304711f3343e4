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
    ...{ name, integer: counts.integer, float: counts.float },
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
