// Our side of torch.mjs. Same requests, replies and files as torch_step.py, whose head describes them; there is only one
// variant, called 'qarepvgg'. Threads: QAREPVGG_NUM_THREADS.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { info, QARepVGGBlock, tensor } from 'qarepvgg';
import { readFloats } from './lib/numbers.mjs';
import { answer } from './lib/server.mjs';

/** @param {string} path @param {number[]} dims */
function read(path, dims) {
  return tensor(readFloats(path), dims);
}

/** @param {{ folder: string, dims: number[], state: Record<string, number[]> }} request */
function prepare({ folder, dims, state }) {
  const channels = Number(dims[1]);
  const block = new QARepVGGBlock({ inChannels: channels, outChannels: channels });
  block.loadStateDict(
    Object.fromEntries(Object.entries(state).map(([key, keyDims]) => [key, read(join(folder, key), keyDims)])),
  );
  block.train();
  const x = read(join(folder, 'input'), dims);
  let gradOutput = x;
  // Results go to the same memory in every step, as PyTorch's allocator does for the other side (torch.mjs).
  const like = () => tensor(new Float32Array(x.data.length), dims);
  const [output, gradInput] = [like(), like()];

  const step = () => {
    block.zeroGrad();
    block.forward(x, { out: output });
    return block.backward(gradOutput, { out: gradInput });
  };

  return {
    /** @param {{ into: string }} request */
    forward({ into }) {
      writeFileSync(join(into, 'output'), block.forward(x).data);
      return {};
    },
    /** @param {{ into: string }} request */
    backward({ into }) {
      gradOutput = read(join(folder, 'gradOutput'), dims);
      writeFileSync(join(into, 'gradInput'), step().data);
      for (const [name, { grad }] of Object.entries(block.parameters())) writeFileSync(join(into, name), grad);
      return {};
    },
    /** @param {{ steps: number }} request */
    time({ steps }) {
      const ms = Array.from({ length: steps }, () => {
        const start = performance.now();
        step();
        return performance.now() - start;
      });
      return { ms };
    },
  };
}

/** @type {ReturnType<typeof prepare> | undefined} */
let side;
await answer({
  prepare(request) {
    side = prepare(request);
    return { variants: ['qarepvgg'], isa: info().isa, threads: info().threads };
  },
  forward: (request) => side?.forward(request),
  backward: (request) => side?.backward(request),
  time: (request) => side?.time(request),
});
