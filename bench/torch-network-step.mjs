// Our side of torch-network.mjs. Same requests, replies and files as torch_network.py, whose head describes them. Threads:
// QAREPVGG_NUM_THREADS.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createModel, info, Trainer, tensor } from 'qarepvgg';
import { readFloats } from './lib/numbers.mjs';
import { answer } from './lib/server.mjs';

/** @type {() => Promise<import('qarepvgg').StepReport>} */
let step;

await answer({
  prepare({ folder, dims, state, model: name, lr, momentum, weightDecay }) {
    const model = createModel(name, { inputSize: dims[2], numClasses: state['linear.bias'][0] });
    /** @type {[string, number[]][]} */
    const entries = Object.entries(state);
    model.loadStateDict(
      Object.fromEntries(entries.map(([key, keyDims]) => [key, tensor(readFloats(join(folder, key)), keyDims)])),
    );
    const trainer = new Trainer(model, { lr, momentum, weightDecay, schedule: 'constant' });
    const images = tensor(readFloats(join(folder, 'images')), dims);
    const labels = new Int32Array(new Uint8Array(readFileSync(join(folder, 'labels'))).buffer);
    step = () => trainer.step(images, labels);
    return { threads: info().threads, isa: info().isa };
  },
  async steps({ count }) {
    /** @type {number[]} */
    const ms = [];
    /** @type {number[]} */
    const losses = [];
    for (let i = 0; i < count; i++) {
      const start = performance.now();
      const { loss } = await step();
      ms.push(performance.now() - start);
      losses.push(loss);
    }
    return { ms, losses };
  },
  memory: () => ({ peakBytes: 1024 * process.resourceUsage().maxRSS }),
});
