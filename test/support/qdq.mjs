// Writes the graph of a model as other quantisers do: QuantizeLinear and DequantizeLinear around every value that operators in
// integers read or make, ranges from one run, weights of 7 bits with a scale for each channel.

import { InferenceSession } from 'qarepvgg';
import { modelOf, serializeOnnx } from '../../dist/formats/onnx/document.js';
import { decodeFile } from '../../dist/formats/onnx/file.js';
import { Model } from '../../dist/model/model.js';
import { atOnce } from '../../dist/slices.js';

/** @typedef {import('../../dist/graph/graph.js').Graph} Graph */
/** @typedef {import('../../dist/graph/graph.js').GraphNode} GraphNode */
/** @typedef {import('../../dist/graph/graph.js').GraphTensor} GraphTensor */

/** Results have the range of their input. */
const moving = [
  'maxPool',
  'slice',
  'split',
  'pad',
  'reshape',
  'flatten',
  'transpose',
  'squeeze',
  'unsqueeze',
  'resize',
];
const others = ['conv', 'convTranspose', 'gemm', 'add', 'mul', 'concat', 'averagePool', 'globalAveragePool'];
const functions = ['relu', 'clip', 'sigmoid', 'leakyRelu', 'hardSigmoid', 'hardSwish', 'tanh'];
const computed = new Set([...moving, ...others, ...functions]);

/**
 * @param {Uint8Array} bytes a file in floats
 * @param {Record<string, any>} feeds
 * @param {{ bits?: number, signed?: boolean, perChannel?: boolean }} [options] signed: activations, too
 * @returns {Promise<Uint8Array>} the file of the quantised graph
 */
export async function quantizedFile(bytes, feeds, options = {}) {
  const graph = foldNorms(withTensors((await modelOf(atOnce(decodeFile(bytes)), () => undefined)).graph));
  const ranges = await rangesOf(graph, feeds);
  return serializeOnnx(new Model(new Quantizer(graph, ranges, options).run()));
}

/** What nodes called Constant make as tensors. @param {Graph} graph @returns {Graph} */
function withTensors(graph) {
  const tensors = new Map(graph.tensors);
  const nodes = graph.nodes.filter(({ op, attributes: { value }, outputs: [name] }) => {
    if (op !== 'constant' || typeof value !== 'object' || !('dims' in value)) return true;
    tensors.set(String(name), /** @type {GraphTensor} */ (value));
    return false;
  });
  return { ...graph, nodes, tensors };
}

/** Batch norms behind a convolution as part of it, as quantisers have them first. @param {Graph} graph @returns {Graph} */
function foldNorms(graph) {
  const tensors = new Map(graph.tensors);
  const numbers = (/** @type {string | undefined} */ name) =>
    /** @type {Float32Array} */ (tensors.get(name ?? '')?.data);
  let nodes = [...graph.nodes];
  for (const norm of graph.nodes) {
    const [x = '', ...names] = norm.inputs;
    const conv = nodes.find(({ op, outputs }) => op === 'conv' && outputs[0] === x);
    const readers = nodes.filter(({ inputs }) => inputs.includes(x));
    const weight = tensors.get(conv?.inputs[1] ?? '');
    if (norm.op !== 'batchNormalization' || !conv || !weight || readers.length > 1 || graph.outputs.includes(x))
      continue;
    const [gamma, beta, mean, variance] = /** @type {[Float32Array, Float32Array, Float32Array, Float32Array]} */ (
      names.map(numbers)
    );
    const factors = gamma.map((value, c) => value / Math.sqrt(Number(variance[c]) + Number(norm.attributes.epsilon)));
    const each = weight.data.length / factors.length;
    const bias = numbers(conv.inputs[2]);
    const data = /** @type {Float32Array} */ (weight.data).map(
      (value, i) => value * Number(factors[Math.floor(i / each)]),
    );
    const sums = factors.map((factor, c) => (Number(bias?.[c] ?? 0) - Number(mean[c])) * factor + Number(beta[c]));
    tensors.set(`${conv.name}/folded`, { ...weight, data });
    tensors.set(`${conv.name}/shifted`, { type: 'float32', dims: [sums.length], data: sums });
    const inputs = [String(conv.inputs[0]), `${conv.name}/folded`, `${conv.name}/shifted`];
    nodes = nodes
      .filter((node) => node !== conv)
      .map((node) => (node === norm ? { ...conv, inputs, outputs: norm.outputs } : node));
  }
  return { ...graph, nodes, tensors };
}

/** Smallest and largest number of every value. @param {Graph} graph @param {Record<string, any>} feeds */
async function rangesOf(graph, feeds) {
  const names = graph.nodes.flatMap(({ outputs }) => outputs).filter((name) => name !== '');
  const session = await InferenceSession.create(serializeOnnx(new Model({ ...graph, outputs: names })));
  const results = /** @type {Record<string, any>} */ (await session.run(feeds));
  session.dispose();
  /** @type {Map<string, [number, number]>} */
  const ranges = new Map();
  for (const [name, { data, type }] of [...Object.entries(results), ...Object.entries(feeds)]) {
    if (!(type === undefined || type === 'float32') || data.length === 0) continue;
    let [low, high] = [0, 0];
    for (const value of data) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    ranges.set(name, [low, high]);
  }
  return ranges;
}

class Quantizer {
  #graph;
  #ranges;
  #options;
  /** @type {GraphNode[]} */
  #nodes = [];
  /** @type {Map<string, GraphTensor>} */
  #tensors;
  /** Names that readers find values under. @type {Map<string, string>} */
  #names = new Map();
  /** @type {Map<string, { scale: number, zeroPoint: number }>} */
  #scales = new Map();

  /** @param {Graph} graph @param {Map<string, [number, number]>} ranges @param {{ bits?: number, signed?: boolean, perChannel?: boolean }} options */
  constructor(graph, ranges, options) {
    this.#graph = graph;
    this.#ranges = ranges;
    this.#options = { bits: 7, signed: false, perChannel: true, ...options };
    this.#tensors = new Map(graph.tensors);
  }

  run() {
    for (const { name } of this.#graph.inputs) if (this.#isWanted(name)) this.#names.set(name, this.#round(name, name));
    for (const node of this.#graph.nodes) this.#add(node);
    return { ...this.#graph, nodes: this.#nodes, tensors: this.#tensors, values: new Map() };
  }

  /** @param {string} name */
  #readers(name) {
    return this.#graph.nodes.filter(({ inputs }) => inputs.includes(name));
  }

  /** Whether a value is rounded: what a ReLU or clip reads alone is rounded behind it. @param {string} name */
  #isWanted(name) {
    if (!this.#ranges.has(name)) return false;
    const maker = this.#graph.nodes.find(({ outputs }) => outputs.includes(name));
    const readers = this.#readers(name);
    const [reader] = readers;
    const isClamped = readers.length === 1 && (reader?.op === 'relu' || reader?.op === 'clip');
    if (isClamped && maker && !this.#graph.outputs.includes(name) && ['conv', 'add', 'mul'].includes(maker.op))
      return false;
    const isMade =
      maker !== undefined &&
      this.#isComputed(maker) &&
      (!moving.includes(maker.op) || this.#scales.has(String(maker.inputs[0])));
    return isMade || readers.some((node) => this.#isComputed(node) && !moving.includes(node.op));
  }

  /** @param {GraphNode} node */
  #isComputed({ op, attributes, inputs }) {
    if (op === 'matMul') return this.#graph.tensors.has(String(inputs[1]));
    return computed.has(op) && (op !== 'resize' || attributes.mode === 'nearest');
  }

  /** @param {GraphNode} node */
  #add(node) {
    const inputs = node.inputs.map((name) => this.#names.get(name) ?? name);
    if (['conv', 'convTranspose', 'gemm', 'matMul'].includes(node.op)) this.#weights(node, inputs);
    if (node.op === 'add' || node.op === 'mul') {
      inputs.forEach((name, i) => {
        const tensor = this.#tensors.get(name);
        if (tensor?.type === 'float32') inputs[i] = this.#constant(name, tensor);
      });
    }
    const wanted = node.outputs.filter((name) => this.#isWanted(name));
    const outputs = node.outputs.map((name) => (wanted.includes(name) ? `${name}/raw` : name));
    // onnxruntime makes nodes of its own, with names such as Mul_1.
    this.#nodes.push({ ...node, name: `${node.name}/node`, inputs, outputs });
    for (const name of wanted)
      this.#round(`${name}/raw`, name, this.#isComputed(node) && moving.includes(node.op) ? node.inputs[0] : undefined);
  }

  /** @param {GraphNode} node @param {string[]} inputs */
  #weights(node, inputs) {
    const [x = '', weight = '', bias = ''] = node.inputs;
    const [tensor, shift] = [this.#graph.tensors.get(weight), this.#graph.tensors.get(bias)];
    const input = this.#scales.get(x);
    if (!tensor || !input) return;
    const axis =
      node.op === 'convTranspose' || node.op === 'matMul' || (node.op === 'gemm' && !node.attributes.transB) ? 1 : 0;
    const { dims } = tensor;
    const stride = dims.slice(axis + 1).reduce((a, b) => a * b, 1);
    const length = this.#options.perChannel ? Number(dims[axis]) : 1;
    const at = (/** @type {number} */ i) => (length === 1 ? 0 : Math.floor(i / stride) % length);
    const largest = 2 ** (this.#options.bits - 1);
    const scales = new Float32Array(length);
    const data = /** @type {Float32Array} */ (tensor.data);
    data.forEach((value, i) => {
      scales[at(i)] = Math.max(Number(scales[at(i)]), Math.abs(value) / largest);
    });
    for (let i = 0; i < length; i++) if (!(Number(scales[i]) > 1e-30)) scales[i] = 1;
    const integers = Int8Array.from(data, (value, i) =>
      Math.max(-largest, Math.min(largest, Math.round(value / Number(scales[at(i)])))),
    );
    inputs[1] = this.#dequantize(`${node.name}/weight`, { type: 'int8', dims, data: integers }, scales, axis);
    const outputs = node.op === 'convTranspose' ? length * Number(node.attributes.group) : length;
    if (!shift || (outputs !== shift.data.length && length > 1) || (length > 1 && outputs !== length)) return;
    const steps = scales.map((scale) => scale * input.scale);
    const sums = Int32Array.from(/** @type {Float32Array} */ (shift.data), (value, i) =>
      Math.round(value / Number(steps[length === 1 ? 0 : i])),
    );
    inputs[2] = this.#dequantize(`${node.name}/bias`, { type: 'int32', dims: shift.dims, data: sums }, steps, 0);
  }

  /** @param {string} name @param {GraphTensor} tensor */
  #constant(name, tensor) {
    const numbers = /** @type {Float32Array} */ (tensor.data);
    const { scale, zeroPoint } = scaleFor([Math.min(0, ...numbers), Math.max(0, ...numbers)]);
    const data = Uint8Array.from(numbers, (value) => Math.max(0, Math.min(255, Math.round(value / scale) + zeroPoint)));
    const key = `${name}/${this.#nodes.length}`;
    this.#tensors.set(`${key}/zero`, { type: 'uint8', dims: [], data: Uint8Array.of(zeroPoint) });
    return this.#dequantize(key, { type: 'uint8', dims: tensor.dims, data }, Float32Array.of(scale), 0, `${key}/zero`);
  }

  /** @param {string} key @param {GraphTensor} integers @param {Float32Array} scales @param {number} axis @param {string} [zero] */
  #dequantize(key, integers, scales, axis, zero) {
    this.#tensors.set(`${key}/integers`, integers);
    this.#tensors.set(`${key}/scale`, {
      type: 'float32',
      dims: scales.length === 1 ? [] : [scales.length],
      data: scales,
    });
    const inputs = [`${key}/integers`, `${key}/scale`, ...(zero ? [zero] : [])];
    this.#node('dequantizeLinear', `${key}/floats`, inputs, scales.length === 1 ? {} : { axis });
    return `${key}/floats`;
  }

  /** Rounds what `from` has; readers of `name` find it under the name that is returned. @param {string} from @param {string} name @param {string} [like] whose scale it has */
  #round(from, name, like) {
    const found = (like && this.#scales.get(like)) || scaleFor(this.#ranges.get(name) ?? [0, 0]);
    this.#scales.set(name, found);
    const { signed } = this.#options;
    const scale = { type: /** @type {const} */ ('float32'), dims: [], data: Float32Array.of(found.scale) };
    const zero = signed
      ? { type: /** @type {const} */ ('int8'), dims: [], data: Int8Array.of(found.zeroPoint - 128) }
      : { type: /** @type {const} */ ('uint8'), dims: [], data: Uint8Array.of(found.zeroPoint) };
    this.#tensors.set(`${name}/scale`, scale);
    this.#tensors.set(`${name}/zero`, zero);
    const parameters = [`${name}/scale`, `${name}/zero`];
    const result = from === name ? `${name}/rounded` : name;
    this.#node('quantizeLinear', `${name}/integers`, [from, ...parameters]);
    this.#node('dequantizeLinear', result, [`${name}/integers`, ...parameters]);
    return result;
  }

  /** @param {string} op @param {string} output @param {string[]} inputs @param {Record<string, number>} [attributes] */
  #node(op, output, inputs, attributes = {}) {
    this.#nodes.push({
      name: `${output}/${op}`,
      op,
      inputs,
      outputs: [output],
      attributes: { axis: 1, block_size: 0, saturate: 1, ...attributes },
    });
  }
}

/** @param {readonly [number, number]} range @returns {{ scale: number, zeroPoint: number }} */
function scaleFor([low, high]) {
  const scale = Math.fround((high - low) / 255) || 1;
  return { scale, zeroPoint: Math.max(0, Math.min(255, Math.round(-low / scale))) };
}
