import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GraphArray, GraphNode, GraphSpec, TensorType } from '../../binding';
import { addon } from '../../lib/binding';
import { type Attribute, attributeTypes, modelFields } from '../../lib/formats/onnx/schema';
import { encode } from '../../lib/formats/onnx/wire';
import type { DataType, TensorData } from '../../lib/graph/graph';
import { jsonOf } from '../support/child';
import { initializer, valueInfo } from '../support/onnx-files';

// Native nodes on integers against onnxruntime's kernels for the same QDQ graph: the same bits. Weights have 7 bits, so that
// onnxruntime is exact without VNNI, too.

type Numbers = { readonly scale: number; readonly zeroPoint: number };
type Constant = readonly [type: DataType, dims: readonly number[], data: TensorData];

interface Operand extends Numbers {
  readonly dims: readonly number[];
  readonly values: Uint8Array;
}

interface Case {
  readonly op: string;
  readonly operands: readonly Operand[];
  /** Of a convolution. */
  readonly weight?: { dims: readonly number[]; values: Int8Array; scale: Float32Array; bias: Int32Array };
  readonly attributes: Readonly<Record<string, number | readonly number[]>>;
  readonly outputDims: readonly number[];
  readonly output: Numbers;
  /** The native node, but for its quantisations. */
  readonly native: Pick<GraphNode, 'op' | 'attributes'>;
}

const random = (() => {
  let state = 1n;
  return () => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
    return Number(state >> 33n) / 2 ** 31;
  };
})();
const between = (low: number, high: number) => low + Math.floor(random() * (high - low + 1));
const numbers = (about = 0.02): Numbers => ({
  scale: Math.fround(about * (0.5 + random())),
  zeroPoint: random() < 0.3 ? 0 : between(0, 255),
});
const elements = (dims: readonly number[]) => dims.reduce((a, b) => a * b, 1);
const operand = (dims: readonly number[]): Operand => ({
  ...numbers(),
  dims,
  values: Uint8Array.from({ length: elements(dims) }, () => between(0, 255)),
});
const floats = ({ values, scale, zeroPoint }: Operand) =>
  Float32Array.from(values, (q) => Math.fround((q - zeroPoint) * scale));

function binary(kind: 'Add' | 'Mul', gated: boolean): Case {
  const dims = [between(1, 2), between(1, 40), between(2, 9), between(2, 9)] as const;
  const [a, b] = [operand(dims), operand(gated ? [dims[0], dims[1], 1, 1] : dims)];
  const reach = kind === 'Add' ? a.scale + b.scale : a.scale * b.scale * 128;
  return {
    op: kind,
    operands: random() < 0.5 && gated ? [b, a] : [a, b],
    attributes: {},
    outputDims: dims,
    output: numbers(reach * (0.3 + random())),
    native: { op: 'quantizedBinary', attributes: { kind: kind.toLowerCase() } },
  };
}

function averagePool(): Case {
  const [n, c, h, w, side, stride] = [1, between(1, 40), between(5, 14), between(5, 14), between(1, 4), between(1, 2)];
  const pad = between(0, side - 1);
  const length = (size: number) => Math.floor((size + 2 * pad - side) / stride) + 1;
  const outputDims = [n, c, length(h), length(w)];
  const window = { strides: [stride, stride], pads: [pad, pad, pad, pad] };
  const countIncludePad = between(0, 1);
  return {
    op: 'AveragePool',
    operands: [operand([n, c, h, w])],
    attributes: { ...window, kernel_shape: [side, side], count_include_pad: countIncludePad },
    outputDims,
    output: numbers(0.01),
    native: {
      op: 'quantizedAveragePool',
      attributes: {
        ...window,
        kernel: [side, side],
        dilations: [1, 1],
        outputSize: outputDims.slice(2),
        countIncludePad,
      },
    },
  };
}

function convolution(depthwise: boolean): Case {
  const c = between(2, 40);
  const out = depthwise ? c : between(1, 40);
  const [h, w, ky, kx, sy, sx] = [
    between(6, 14),
    between(6, 14),
    between(1, 5),
    between(1, 5),
    between(1, 2),
    between(1, 2),
  ];
  const pads = [between(0, 2), between(0, 2), between(0, 2), between(0, 2)] as const;
  const x = operand([1, c, h, w]);
  const dims = [out, depthwise ? 1 : c, ky, kx];
  const scale = Float32Array.from({ length: out }, () => 0.01 * (0.5 + random()));
  const outputDims = [
    1,
    out,
    Math.floor((h + pads[0] + pads[2] - ky) / sy) + 1,
    Math.floor((w + pads[1] + pads[3] - kx) / sx) + 1,
  ];
  const window = { strides: [sy, sx], pads, dilations: [1, 1], group: depthwise ? c : 1 };
  return {
    op: 'Conv',
    operands: [x],
    weight: {
      dims,
      values: Int8Array.from({ length: elements(dims) }, () => between(-64, 64)),
      scale,
      bias: Int32Array.from({ length: out }, () => between(-5000, 5000)),
    },
    attributes: { ...window, kernel_shape: [ky, kx] },
    outputDims,
    output: numbers(0.02 * Math.sqrt(elements(dims.slice(1)))),
    native: { op: 'quantizedConv', attributes: { ...window, kernel: [ky, kx] } },
  };
}

/** QuantizeLinear and DequantizeLinear around every operand and the result. */
function onnxOf(what: Case): Uint8Array {
  const constants: Record<string, Constant> = {};
  const parameters = (name: string, { scale, zeroPoint }: Numbers) => {
    constants[`${name}_scale`] = ['float32', [], Float32Array.of(scale)];
    constants[`${name}_zero`] = ['uint8', [], Uint8Array.of(zeroPoint)];
    return [`${name}_scale`, `${name}_zero`];
  };
  const nodes: { opType: string; inputs: string[]; outputs: string[]; name: string; attributes: Attribute[] }[] = [];
  const add = (opType: string, inputs: string[], output: string, attributes: Attribute[] = []) => {
    nodes.push({ opType, inputs, outputs: [output], name: output, attributes });
    return output;
  };
  const axis: Attribute[] = [{ name: 'axis', int: 0, type: attributeTypes.int }];
  const inputs = what.operands.map((operand, i) => {
    const own = parameters(`x${i}`, operand);
    return add('DequantizeLinear', [add('QuantizeLinear', [`x${i}`, ...own], `q${i}`), ...own], `d${i}`);
  });
  if (what.weight) {
    const { dims, values, scale, bias } = what.weight;
    const out = [scale.length];
    constants.weight = ['int8', dims, values];
    constants.weight_scale = ['float32', out, scale];
    constants.weight_zero = ['int8', out, new Int8Array(scale.length)];
    constants.bias = ['int32', out, bias];
    const [x] = what.operands;
    constants.bias_scale = ['float32', out, scale.map((value) => Math.fround((x as Operand).scale * value))];
    constants.bias_zero = ['int32', out, new Int32Array(scale.length)];
    inputs.push(add('DequantizeLinear', ['weight', 'weight_scale', 'weight_zero'], 'w', axis));
    inputs.push(add('DequantizeLinear', ['bias', 'bias_scale', 'bias_zero'], 'b', axis));
  }
  const attributes = Object.entries(what.attributes).map(([name, value]) =>
    typeof value === 'number'
      ? { name, int: value, type: attributeTypes.int }
      : { name, ints: value, type: attributeTypes.ints },
  );
  const own = parameters('y', what.output);
  add(
    'DequantizeLinear',
    [add('QuantizeLinear', [add(what.op, inputs, 'float', attributes), ...own], 'q'), ...own],
    'y',
  );
  return encode(modelFields, {
    irVersion: 8,
    opsets: [{ domain: '', version: 13 }],
    metadata: [],
    graph: {
      name: 'test',
      nodes,
      initializers: Object.entries(constants).map(([name, constant]) => initializer(name, ...constant)),
      inputs: what.operands.map(({ dims }, i) => valueInfo(`x${i}`, 'float32', dims)),
      outputs: [valueInfo('y', 'float32', what.outputDims)],
    },
  });
}

async function oursOf(what: Case): Promise<readonly number[]> {
  const { operands, weight, outputDims, output, native } = what;
  const inputs: TensorType[] = operands.map(({ dims }) => ({ type: 'float32', dims }));
  const constants: (TensorType & { data: GraphArray })[] = [];
  if (weight) {
    const out = [weight.scale.length];
    constants.push({ type: 'int8', dims: weight.dims, data: weight.values });
    constants.push({ type: 'int32', dims: out, data: weight.bias });
    constants.push({ type: 'float32', dims: out, data: weight.scale });
  }
  const first = inputs.length + constants.length;
  const named = (prefix: string, { scale, zeroPoint }: Numbers) => ({
    [`${prefix}Scale`]: scale,
    [`${prefix}ZeroPoint`]: zeroPoint,
  });
  const prefixes = operands.length === 1 ? ['input'] : ['a', 'b'];
  const nodes: GraphNode[] = operands.map((operand, i) => ({
    op: 'quantize',
    name: `q${i}`,
    inputs: [i],
    outputs: [{ type: 'uint8', dims: operand.dims }],
    attributes: named('output', operand),
  }));
  nodes.push({
    op: native.op,
    name: 'node',
    inputs: [...operands.map((_, i) => first + i), ...constants.map((_, i) => inputs.length + i)],
    outputs: [{ type: 'uint8', dims: outputDims }],
    attributes: Object.assign(
      { ...native.attributes, ...named('output', output) },
      ...operands.map((operand, i) => named(prefixes[i] as string, operand)),
    ),
  });
  nodes.push({
    op: 'dequantize',
    name: 'last',
    inputs: [first + operands.length],
    outputs: [{ type: 'float32', dims: outputDims }],
    attributes: named('input', output),
  });
  const outputs = [first + operands.length + 1];
  const spec: GraphSpec = { inputs, constants, nodes, outputs, independent: false, algorithm: 'auto', threads: 0 };
  const session = await addon.createSession(spec);
  const [y] = await session.run(operands.map(floats), 1).promise;
  session.dispose();
  return [...(y as Float32Array)];
}

const kinds: readonly (readonly [string, () => Case])[] = [
  ['QLinearAdd', () => binary('Add', false)],
  ['QLinearAdd of one pixel', () => binary('Add', true)],
  ['QLinearMul', () => binary('Mul', false)],
  ['QLinearMul of one pixel', () => binary('Mul', true)],
  ['QLinearAveragePool', averagePool],
  ['QLinearConv of any window', () => convolution(false)],
  ['QLinearConv depthwise', () => convolution(true)],
];

test('nodes on integers are the bits of onnxruntime', async () => {
  const cases = kinds.flatMap(([name, make]) => Array.from({ length: 12 }, () => [name, make()] as const));
  const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-nodes-'));
  try {
    const file = join(folder, 'cases.json');
    const files = cases.map(([, what]) => ({
      model: Buffer.from(onnxOf(what)).toString('base64'),
      inputs: Object.fromEntries(
        what.operands.map((operand, i) => [`x${i}`, { dims: operand.dims, data: [...floats(operand)] }]),
      ),
    }));
    writeFileSync(file, JSON.stringify(files));
    const results = join(folder, 'results.json');
    expect(jsonOf(['test/support/onnxruntime-files.mjs', file, results])).toBe(cases.length);
    const theirs = JSON.parse(readFileSync(results, 'utf8')) as number[][];
    for (const [i, [name, what]] of cases.entries()) {
      const ours = await oursOf(what);
      const different = ours.filter((value, at) => value !== theirs[i]?.[at]).length;
      expect([name, i, different]).toEqual([name, i, 0]);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
