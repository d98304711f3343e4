// Networks with random weights as ONNX files, written node by node.

import { randn } from 'qarepvgg';
import { attributeTypes, modelFields } from '../../dist/formats/onnx/schema.js';
import { encode } from '../../dist/formats/onnx/wire.js';
import { product } from './numbers.mjs';

/** @typedef {number | string | readonly number[] | Float32Array} AttributeValue numbers with a fraction are floats */
/** @typedef {'relu' | 'silu' | 'sigmoid' | 'relu6' | undefined} Activation */

const [float32, uint8, int64] = [1, 2, 7];

/** A value with its channels. @typedef {{ name: string, channels: number }} Value */

export class NetworkWriter {
  /** @type {import('../../dist/formats/onnx/schema.js').Node[]} */
  #nodes = [];
  /** @type {import('../../dist/formats/onnx/schema.js').Initializer[]} */
  #initializers = [];
  /** @type {import('../../dist/formats/onnx/schema.js').ValueInfo[]} */
  #inputs = [];
  #training;

  /** @param {boolean} training whether blocks are written with their branches and batch norms */
  constructor(training = false) {
    this.#training = training;
  }

  /** @param {string} name @param {readonly (number | string)[]} dims @returns {Value} */
  input(name, dims) {
    this.#inputs.push(info(name, dims));
    return { name, channels: Number(dims[1]) };
  }

  /** The result of a new node. @param {string} op "domain:operator" for another domain than ONNX's @param {readonly string[]} inputs @param {Record<string, AttributeValue>} [attributes] */
  node(op, inputs, attributes = {}) {
    return /** @type {string} */ (this.nodes(op, inputs, 1, attributes)[0]);
  }

  /** The results of a new node. @param {string} op @param {readonly string[]} inputs @param {number} count @param {Record<string, AttributeValue>} [attributes] */
  nodes(op, inputs, count, attributes = {}) {
    const [opType = '', domain = ''] = op.split(':').reverse();
    const name = `${opType}_${this.#nodes.length}`;
    const outputs = Array.from({ length: count }, (_, i) => (i === 0 ? name : `${name}_${i}`));
    this.#nodes.push({ name, opType, inputs, outputs, attributes: Object.entries(attributes).map(attribute), domain });
    return outputs;
  }

  /** A constant of floats. @param {readonly number[]} dims @param {Float32Array} data */
  floats(dims, data) {
    return this.#tensor(dims, float32, data);
  }

  /** Integers; a list where no dims are named. @param {readonly number[]} values @param {readonly number[]} [dims] */
  integers(values, dims = [values.length]) {
    return this.#tensor(dims, int64, BigInt64Array.from(values, BigInt));
  }

  /** A constant of bytes. @param {readonly number[]} dims @param {Uint8Array} data */
  bytes(dims, data) {
    return this.#tensor(dims, uint8, data);
  }

  /** Weights that keep the size of what goes through. @param {readonly number[]} dims @param {number} fanIn */
  weights(dims, fanIn) {
    return this.floats(dims, randn(dims, { seed: this.#initializers.length, std: Math.sqrt(2 / fanIn) }).data);
  }

  /**
   * A convolution with bias, padded so that stride alone changes the size.
   *
   * @param {Value} x @param {number} channels @param {{ kernel?: number, stride?: number, groups?: number, activation?: Activation }} [options]
   * @returns {Value}
   */
  conv(x, channels, { kernel = 1, stride = 1, groups = 1, activation } = {}) {
    const sum = this.#convolution(x, channels, kernel, stride, groups, true);
    return { name: this.activation(sum, activation), channels };
  }

  /**
   * A block of RepVGG with a 3x3 kernel; in training form the sum of its branches.
   *
   * @param {Value} x @param {number} channels @param {number} [stride]
   * @returns {Value}
   */
  block(x, channels, stride = 1) {
    if (!this.#training) return this.conv(x, channels, { kernel: 3, stride, activation: 'relu' });
    const branches = [3, 1].map((kernel) =>
      this.batchNorm(this.#convolution(x, channels, kernel, stride, 1, false), channels),
    );
    if (stride === 1 && x.channels === channels) branches.push(this.batchNorm(x.name, channels));
    const sum = branches.reduce((all, branch) => this.node('Add', [all, branch]));
    return { name: this.activation(sum, 'relu'), channels };
  }

  /** @param {Value} x @param {number} channels @param {number} count all but the first keep channels and size @param {number} [stride] */
  blocks(x, channels, count, stride = 1) {
    let value = this.block(x, channels, stride);
    for (let i = 1; i < count; i++) value = this.block(value, channels);
    return value;
  }

  /** Twice the height and width. @param {Value} x @param {number} channels @returns {Value} */
  upsample(x, channels) {
    const weight = this.weights([x.channels, channels, 2, 2], x.channels);
    const bias = this.#bias(channels);
    const attributes = { kernel_shape: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1 };
    return { name: this.node('ConvTranspose', [x.name, weight, bias], attributes), channels };
  }

  /** @param {readonly Value[]} values @returns {Value} */
  concat(values) {
    const channels = values.reduce((sum, value) => sum + value.channels, 0);
    return {
      name: this.node(
        'Concat',
        values.map(({ name }) => name),
        { axis: 1 },
      ),
      channels,
    };
  }

  /** @param {Value} x @param {number} kernel @param {number} [stride] @returns {Value} */
  maxPool({ name, channels }, kernel, stride = 1) {
    const half = Math.floor(kernel / 2);
    const attributes = { kernel_shape: [kernel, kernel], strides: [stride, stride], pads: [half, half, half, half] };
    return { name: this.node('MaxPool', [name], attributes), channels };
  }

  /** @param {string} x @param {number} channels */
  batchNorm(x, channels) {
    const seed = this.#initializers.length;
    const list = (/** @type {number} */ i, /** @type {(value: number) => number} */ of) =>
      this.floats([channels], randn([channels], { seed: seed + i }).data.map(of));
    const near = (/** @type {number} */ value) => 0.6 + 0.05 * value;
    const small = (/** @type {number} */ value) => 0.1 * value;
    const variance = (/** @type {number} */ value) => 1 + 0.2 * Math.abs(value);
    return this.node('BatchNormalization', [x, list(0, near), list(1, small), list(2, small), list(3, variance)]);
  }

  /** @param {string} x @param {Activation} kind */
  activation(x, kind) {
    switch (kind) {
      case 'relu':
        return this.node('Relu', [x]);
      case 'sigmoid':
        return this.node('Sigmoid', [x]);
      case 'silu': // as PyTorch exports it
        return this.node('Mul', [x, this.node('Sigmoid', [x])]);
      case 'relu6':
        return this.node('Clip', [x, this.floats([], Float32Array.of(0)), this.floats([], Float32Array.of(6))]);
      default:
        return x;
    }
  }

  /** Mean over the pixels, and a linear layer. @param {Value} x @param {number} classes */
  classifier(x, classes) {
    const mean = this.node('Flatten', [this.node('GlobalAveragePool', [x.name])], { axis: 1 });
    return this.node('Gemm', [mean, this.weights([classes, x.channels], x.channels), this.#bias(classes)], {
      transB: 1,
    });
  }

  /** The bytes of the file. @param {Record<string, string>} outputs names that values get @param {number} rank of all of them @param {Record<string, string>} [metadata] */
  finish(outputs, rank, metadata = {}) {
    const ranked = Object.entries(outputs).map(([output, name]) => [output, { name, rank }]);
    return this.finishRanks(Object.fromEntries(ranked), { metadata });
  }

  /** As {@link finish}, each output with its rank. @param {Record<string, { name: string, rank: number }>} outputs @param {{ metadata?: Record<string, string>, opset?: number, irVersion?: number }} [options] */
  finishRanks(outputs, { metadata = {}, opset = 13, irVersion = 7 } = {}) {
    const names = Object.entries(outputs);
    for (const [name, { name: value }] of names)
      this.#nodes.push({ name, opType: 'Identity', inputs: [value], outputs: [name] });
    const others = new Set(this.#nodes.flatMap(({ domain }) => domain || []));
    return encode(modelFields, {
      irVersion,
      opsets: [{ domain: '', version: opset }, ...[...others].map((domain) => ({ domain, version: 1 }))],
      graph: {
        name: 'network',
        nodes: this.#nodes,
        initializers: this.#initializers,
        inputs: this.#inputs,
        outputs: names.map(([name]) =>
          info(
            name,
            Array.from({ length: outputs[name]?.rank ?? 0 }, (_, axis) => `${name}_${axis}`),
          ),
        ),
      },
      metadata: Object.entries(metadata).map(([key, value]) => ({ key, value })),
    });
  }

  /** @param {Value} x @param {number} channels @param {number} kernel @param {number} stride @param {number} groups @param {boolean} hasBias */
  #convolution({ name, channels: inputs }, channels, kernel, stride, groups, hasBias) {
    const half = Math.floor(kernel / 2);
    const depth = inputs / groups;
    const weight = this.weights([channels, depth, kernel, kernel], depth * kernel * kernel);
    const attributes = {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads: [half, half, half, half],
      dilations: [1, 1],
      group: groups,
    };
    return this.node('Conv', [name, weight, ...(hasBias ? [this.#bias(channels)] : [])], attributes);
  }

  /** @param {number} channels */
  #bias(channels) {
    return this.floats([channels], randn([channels], { seed: this.#initializers.length, std: 0.1 }).data);
  }

  /** @param {readonly number[]} dims @param {number} dataType @param {Float32Array | BigInt64Array | Uint8Array} data */
  #tensor(dims, dataType, data) {
    const name = `tensor_${this.#initializers.length}`;
    if (data.length !== product(dims)) throw new Error(`expected ${product(dims)} numbers, received ${data.length}`);
    this.#initializers.push({
      name,
      dims,
      dataType,
      rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    });
    return name;
  }
}

/** @param {[string, AttributeValue]} entry */
function attribute([name, value]) {
  if (typeof value === 'string') return { name, text: new TextEncoder().encode(value), type: attributeTypes.text };
  if (value instanceof Float32Array) return { name, floats: [...value], type: attributeTypes.floats };
  if (typeof value !== 'number') return { name, ints: value, type: attributeTypes.ints };
  return Number.isInteger(value)
    ? { name, int: value, type: attributeTypes.int }
    : { name, float: value, type: attributeTypes.float };
}

/** @param {string} name @param {readonly (number | string)[]} dims */
function info(name, dims) {
  const shape = { dims: dims.map((dim) => (typeof dim === 'string' ? { param: dim } : { value: dim })) };
  return { name, type: { tensor: { elementType: float32, shape } } };
}
