// The engines that are compared, behind one interface. One that is not asked for is not loaded.

import { ortOptions } from './ort-options.mjs';
import { tfjsEngine } from './tfjs.mjs';

/**
 * @typedef {{ file: string, threads: number, algorithm?: 'auto' | 'gemm' }} Setup
 * @typedef {{ run(data: Float32Array, dims: number[]): Promise<Float32Array>, close(): void | Promise<void> }} Session
 * @typedef {{ create(setup: Setup): Promise<Session>, teamSize?(): number }} Engine teamSize: threads that shared the last work
 */

/** @type {Record<string, () => Promise<Engine>>} */
export const engines = {
  async qarepvgg() {
    const { info, InferenceSession } = await import('qarepvgg');
    return {
      async create({ file, threads, algorithm = 'auto' }) {
        const session = await InferenceSession.create(file, { threads, algorithm });
        return {
          run: async (data, dims) => (await session.run({ input: { data, dims } })).logits.data,
          close: () => session.dispose(),
        };
      },
      teamSize: () => info().teamSize,
    };
  },

  async onnxruntime() {
    const { default: ort } = await import('onnxruntime-node');
    return {
      async create({ file, threads }) {
        const session = await ort.InferenceSession.create(file, ortOptions(threads));
        return {
          async run(data, dims) {
            const { logits } = await session.run({ input: new ort.Tensor('float32', data, dims) });
            return /** @type {Float32Array} */ (logits?.data);
          },
          close: () => session.release(),
        };
      },
    };
  },

  tfjs: tfjsEngine,
};
