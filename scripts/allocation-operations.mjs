// The operations of scripts/check-allocation.mjs. Each is made once per process; `call` resolves to a text that shows its
// result to the bit, `expected` is the text that the last call should have given.

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { NetworkWriter } from '../bench/lib/network-writer.mjs';

/**
 * @typedef {{ call: () => Promise<string>, expected: () => string }} Operation
 * @typedef {typeof import('../dist/index.js')} Package
 * @typedef {import('../binding.js').Addon & {
 *   failAllocation(index: number, forGood: boolean): void, allowAllocation(): boolean, liveAllocations(): number
 * }} Addon
 */

/** @param {...Float32Array} arrays */
const bits = (...arrays) => {
  const hash = createHash('sha1');
  for (const { buffer, byteOffset, byteLength } of arrays) hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  return hash.digest('hex');
};

const options = { blocks: [1, 1, 1, 1], channels: [4, 16, 16, 32, 32], inputSize: 32, numClasses: 3, seed: 1 };

/** @param {Package} lib */
const network = (lib) => lib.createModel('qarepvgg_a0', options).eval();

/** An ONNX file that does not say that it is one of this package. @param {Package} lib @param {string} folder */
async function foreignFile(lib, folder) {
  const file = join(folder, 'model.onnx');
  await lib.exportOnnx(network(lib).reparameterize(), file);
  const text = (await readFile(file)).toString('latin1');
  return Buffer.from(text.replaceAll('qarepvgg.', 'someone..'), 'latin1');
}

/** @param {Package} lib @param {import('qarepvgg').Network | import('qarepvgg').QuantizedModel} model @param {import('qarepvgg').Tensor} input */
async function logitsOf(lib, model, input) {
  const session = await lib.InferenceSession.create(model);
  try {
    return bits(session.runSync({ input }).logits.data);
  } finally {
    session.dispose();
  }
}

/** An operation that always gives the same. @param {() => Promise<string> | string} call @returns {Promise<Operation>} */
async function constant(call) {
  const right = await call();
  return { call: async () => call(), expected: () => right };
}

/** Sizes one after the other, more than anything is kept for. @param {(size: number) => Promise<string>} run */
async function ofManySizes(run) {
  const sizes = [32, 33, 34, 35, 36, 37, 38, 39, 40];
  /** @type {string[]} */
  const right = [];
  for (const size of sizes) right.push(await run(size));
  let calls = 0;
  return {
    call: () => run(/** @type {number} */ (sizes[calls++ % sizes.length])),
    expected: () => /** @type {string} */ (right[(calls - 1) % sizes.length]),
  };
}

/** @type {Record<string, (lib: Package, addon: Addon, folder: string) => Promise<Operation>>} */
export const allocationOperations = {
  async create(lib) {
    const model = network(lib).reparameterize();
    const input = lib.randn([1, 3, 32, 32], { seed: 1 });
    return constant(() => logitsOf(lib, model, input));
  },

  async run(lib) {
    const session = await lib.InferenceSession.create(network(lib).reparameterize());
    return ofManySizes(async (size) => {
      const input = lib.randn([3, 3, size, size], { seed: 1 });
      return bits((await session.run({ input })).logits.data);
    });
  },

  async 'transform of an image'(lib) {
    const image = { data: new Uint8Array(48 * 64 * 3).map((_, i) => (7 * i) % 251), dims: [1, 48, 64, 3] };
    const table = new Float32Array(3 * 256).map((_, i) => (i % 256) / 255);
    return ofManySizes(async (size) => {
      const transform = { scaled: { height: size, width: size }, canvas: { height: 50, width: 60 }, top: 3, left: 5 };
      const bytes = await lib.transformImage(image, transform);
      const floats = await lib.transformImage(image, transform, undefined, { layout: 'planes', table });
      return bits(floats.data, new Float32Array(bytes.data));
    });
  },

  async 'run of bytes'(lib) {
    const session = await lib.InferenceSession.create(network(lib).reparameterize());
    const data = new Uint8Array(32 * 32 * 3).map((_, i) => i);
    return constant(async () => bits((await session.run({ input: { data, dims: [1, 32, 32, 3] } })).logits.data));
  },

  async 'run with a large result'(lib) {
    const session = await lib.InferenceSession.create(new lib.Conv2d({ inChannels: 3, outChannels: 16, seed: 1 }));
    return ofManySizes(async (size) => {
      const input = lib.randn([1, 3, 2 * size, size], { seed: 1 });
      return bits((await session.run({ input })).logits.data);
    });
  },

  // What one abort and one failure do to the others.
  async 'runs together'(lib) {
    const session = await lib.InferenceSession.create(network(lib).reparameterize());
    const input = lib.randn([1, 3, 32, 32], { seed: 1 });
    return constant(async () => {
      const controller = new AbortController();
      const runs = [1, 2, 3, 4].map(() => session.run({ input }));
      const aborted = session.run({ input }, { signal: controller.signal }).catch(() => undefined);
      controller.abort();
      await Promise.allSettled([...runs, aborted]);
      return bits(...(await Promise.all(runs)).map(({ logits }) => logits.data));
    });
  },

  async runSync(lib) {
    const session = await lib.InferenceSession.create(network(lib).reparameterize());
    return ofManySizes(async (size) => {
      return bits(session.runSync({ input: lib.randn([2, 3, size, size], { seed: 1 }) }).logits.data);
    });
  },

  async 'create for a graph'(lib, _, folder) {
    const file = await foreignFile(lib, folder);
    const input = lib.randn([1, 3, 32, 32], { seed: 1 });
    return constant(async () => {
      const session = await lib.InferenceSession.create(file, { inputs: { input: [1, 3, 32, 32] } });
      try {
        return bits((await session.run({ input })).logits.data);
      } finally {
        session.dispose();
      }
    });
  },

  // All dims are known: weights are packed early.
  async 'create for a graph of one size'(lib) {
    const writer = new NetworkWriter();
    let value = writer.input('x', [1, 32, 8, 8]);
    for (const kernel of [3, 1, 3]) value = writer.conv(value, 64, { kernel, activation: 'relu' });
    const file = writer.finish({ y: value.name }, 4);
    const x = lib.randn([1, 32, 8, 8], { seed: 1 });
    return constant(async () => {
      const session = await lib.InferenceSession.create(file);
      try {
        const { y } = await session.run({ x });
        return bits(/** @type {Float32Array} */ (y?.data));
      } finally {
        session.dispose();
      }
    });
  },

  async 'run of a graph'(lib, _, folder) {
    const session = await lib.InferenceSession.create(await foreignFile(lib, folder));
    return ofManySizes(async (size) => {
      const input = lib.randn([2, 3, size, size], { seed: 1 });
      return bits((await session.run({ input })).logits.data);
    });
  },

  async trainer(lib) {
    const input = lib.randn([4, 3, 32, 32], { seed: 1 });
    return constant(async () => {
      const model = network(lib).train();
      const trainer = new lib.Trainer(model, { optimizer: 'adamw', lr: 0.01 });
      const { loss } = await trainer.step(input, new Int32Array([0, 1, 2, 0]));
      return `${loss}`;
    });
  },

  // Steps that fail leave no trace: those that do not fail are as if there were no others.
  async step(lib, addon) {
    const input = lib.randn([4, 3, 32, 32], { seed: 1 });
    const labels = [0, 1, 2, 0];
    const make = () => new lib.Trainer(network(lib).train(), { optimizer: 'sgd', lr: 0.001 });
    const [trainer, twin] = [make(), make()];
    let right = '';
    return {
      async call() {
        const { loss } = await trainer.step(input, labels);
        addon.allowAllocation(); // the twin does not fail
        right = `${(await twin.step(input, labels)).loss}`;
        return `${loss}`;
      },
      expected: () => right,
    };
  },

  async quantize(lib) {
    const model = network(lib).reparameterize();
    const input = lib.randn([2, 3, 32, 32], { seed: 1 });
    return constant(async () => {
      const { model: quantized } = await lib.quantize(model, [input]);
      return logitsOf(lib, quantized, input);
    });
  },

  async forward(lib) {
    const model = network(lib);
    return ofManySizes(async (size) => bits(model.forward(lib.randn([2, 3, size, size], { seed: 1 })).data));
  },

  async forwardAsync(lib) {
    const model = network(lib);
    return ofManySizes(async (size) => {
      return bits((await model.forwardAsync(lib.randn([2, 3, size, size], { seed: 1 }))).data);
    });
  },

  async backward(lib) {
    const model = network(lib);
    return ofManySizes(async (size) => {
      const output = model.forward(lib.randn([2, 3, size, size], { seed: 1 }), { grad: true });
      return bits(model.backward(output).data);
    });
  },

  async fuse(lib) {
    const model = network(lib);
    return constant(async () => bits(...Object.values(model.reparameterize().parameters()).map(({ data }) => data)));
  },

  async load(lib, _, folder) {
    const file = join(folder, 'model.safetensors');
    await lib.saveModel(network(lib).reparameterize(), file);
    const input = lib.randn([1, 3, 32, 32], { seed: 1 });
    return constant(async () => {
      const model = /** @type {import('qarepvgg').Network} */ (await lib.loadModel(file));
      const session = await lib.InferenceSession.create(file);
      try {
        return bits(session.runSync({ input }).logits.data, model.forward(input).data);
      } finally {
        session.dispose();
      }
    });
  },
};
