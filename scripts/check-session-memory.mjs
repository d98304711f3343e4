// npm run check:memory -- [cycles] [runs]: resident memory must not grow over many sessions made, run and disposed of (default
// 1,000), nor over many runs of one (default 100,000) and a fiftieth as many with large results, which are not copied. Prints
// JSON; exit code 1 above the limit.

import { Conv2d, createModel, InferenceSession, randn } from 'qarepvgg';

const maxGrowthMiB = 8;
const [cycles = 1000, runs = 100_000] = process.argv.slice(2).map(Number);

const options = { numClasses: 10, inputSize: 32, blocks: [1, 1, 1, 1], channels: [16, 16, 32, 64, 64] };
const model = createModel('qarepvgg_a0', options).reparameterize();
const input = randn([1, 3, 16, 16]);
const wide = randn([3, 3, 20, 28]);

async function cycle() {
  const session = await InferenceSession.create(model);
  const pending = [session.run({ input }), session.run({ input: wide }, { signal: new AbortController().signal })];
  session.runSync({ input });
  const aborted = session.run({ input }, { signal: AbortSignal.abort() }).catch(() => {});
  // In flight, for every other one.
  if (Math.random() < 0.5) await Promise.all(pending);
  session.dispose();
  await Promise.all([...pending, aborted]);
}

/** Some at a time, as a server would. @param {InferenceSession} session @param {import('qarepvgg').Tensor} input @param {number} count */
async function manyRuns(session, input, count) {
  for (let done = 0; done < count; done += 8) {
    await Promise.all(Array.from({ length: 8 }, () => session.run({ input })));
  }
}

// Live JavaScript objects and everything outside V8's heap. What V8 sets aside for its heap is left out: how far it goes
// with that depends on the rate of small allocations, and it keeps it.
async function residentMiB() {
  for (let i = 0; i < 4; i++) {
    globalThis.gc?.();
    // Finalizers run when the event loop turns.
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const { rss, heapTotal, heapUsed } = process.memoryUsage();
  return (rss - heapTotal + heapUsed) / 2 ** 20;
}

/**
 * Growth over `count` steps, after the warm-up: three times the median of three thirds. A leak grows in each of them; what V8
 * and malloc set aside once, or free late because the machine is busy, does not.
 *
 * @param {number} warmUp @param {number} count @param {(count: number) => Promise<void>} work
 */
async function growthOf(warmUp, count, work) {
  await work(warmUp);
  let before = await residentMiB();
  const growths = [];
  for (let third = 0; third < 3; third++) {
    await work(Math.ceil(count / 3));
    const after = await residentMiB();
    growths.push(after - before);
    before = after;
  }
  return 3 * Number(growths.sort((a, b) => a - b)[1]);
}

if (!globalThis.gc) throw new Error('expected node --expose-gc');
const cyclesMiB = await growthOf(100, cycles, async (count) => {
  for (let i = 0; i < count; i++) await cycle();
});
const session = await InferenceSession.create(model);
const runsMiB = await growthOf(5000, runs, (count) => manyRuns(session, input, count));
session.dispose();
const large = await InferenceSession.create(new Conv2d({ inChannels: 3, outChannels: 32, kernelSize: 1 }));
const image = randn([1, 3, 128, 128]);
const largeRuns = runs / 50;
const largeRunsMiB = await growthOf(largeRuns / 10, largeRuns, (count) => manyRuns(large, image, count));
large.dispose();
console.log(JSON.stringify({ cycles, cyclesMiB, runs, runsMiB, largeRuns, largeRunsMiB, maxGrowthMiB }));
process.exitCode = Math.max(cyclesMiB, runsMiB, largeRunsMiB) <= maxGrowthMiB ? 0 : 1;
