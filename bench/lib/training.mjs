// A small training: where a step is short, waiting for threads shows most.

import { createModel, randn, Trainer } from 'qarepvgg';

const batch = 64;
const size = 28;
const checkedSteps = 3;

/**
 * A step of it, and the losses of the first ones, which do not depend on the number of threads.
 *
 * @param {number} threads @returns {Promise<{ losses: Float32Array, step: () => Promise<Float32Array> }>}
 */
export async function smallTraining(threads) {
  const options = {
    numClasses: 10,
    inChannels: 1,
    inputSize: size,
    channels: [16, 16, 32, 64, 128],
    blocks: [1, 2, 2, 1],
  };
  const model = createModel('qarepvgg_a0', /** @type {object} */ (options));
  const trainer = new Trainer(model, { lr: 1e-3, threads });
  const images = randn([batch, 1, size, size], { seed: 1 });
  const labels = Array.from({ length: batch }, (_, i) => i % 10);
  const step = async () => Float32Array.of((await trainer.step(images, labels)).loss);
  const losses = new Float32Array(checkedSteps);
  for (let i = 0; i < checkedSteps; i++) losses.set(await step(), i);
  return { losses, step };
}
