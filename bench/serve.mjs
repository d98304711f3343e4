// npm run bench:serve: what serving over HTTP costs, and how it compares. Sides are processes of their own that take turns in one
// run; the load comes from another process, over the loopback interface, and shares the machine with them. All sides get the same
// bytes: one image as a raw binary tensor.
//
// - engine: A0 over HTTP against the same engine in process at its best batch size. The CPU time of the client is taken out: what
//   remains of the machine is what the server had.
// - bare: the network of this package against a Fastify route that reads the same body and answers the same bytes. The network
//   computes on the processors that HTTP needs, so a request takes the time of both: that is the bound.
// - onnxruntime: A0 in INT8 against a minimal server of Fastify and onnxruntime-node.
// - overhead: one request at a time against `session.run`.
// - overload: requests at four times the rate that the server can answer: event loop, latency, refusals, memory.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { info, randn } from 'qarepvgg';
import { makeModel } from './lib/inference.mjs';
import { median } from './lib/numbers.mjs';
import { readCount, readOptions, refuse } from './lib/options.mjs';
import { Server } from './lib/server.mjs';
import { takeTurns } from './lib/turns.mjs';

const usage = `usage: npm run bench:serve -- [options]
  --sections LIST  of engine, bare, onnxruntime, overhead, overload; default all
  --rounds N       turns of each side, default 5
  --seconds N      of each turn, default 2; of the overload four times as many
  --clients N      default 64
  --size N         side of A0's images, default 224
  --json           print JSON`;

/** @typedef {{ what: string, ours: string, theirs: string, ratio: string, more: string }} Row */
/** @typedef {{ port: number, path: string, headers: Record<string, string>, body: string, expected: string }} Target */
/** @typedef {import('./lib/load.mjs').Result & { cpuSeconds: number }} Result */

const values = readOptions(usage, {
  sections: { type: 'string', default: 'engine,bare,onnxruntime,overhead,overload' },
  rounds: { type: 'string', default: '5' },
  seconds: { type: 'string', default: '2' },
  clients: { type: 'string', default: '64' },
  size: { type: 'string', default: '224' },
  json: { type: 'boolean', default: false },
});
const sections = values.sections.split(',');
const count = (/** @type {'rounds' | 'seconds' | 'clients' | 'size'} */ name) => readCount(usage, values[name]);
const [rounds, seconds, clients, size] = [count('rounds'), count('seconds'), count('clients'), count('size')];

const { threads, isa } = info();
const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-serve-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
/** @type {Server[]} */
const sides = [];
const side = (/** @type {string} */ script) => {
  const server = new Server(process.execPath, [fileURLToPath(new URL(script, import.meta.url))]);
  sides.push(server);
  return server;
};
const client = side('load-side.mjs');

/** A server and what to send to it; the answer that the first request gets is the one that all must get. */
async function startServer(
  /** @type {string} */ kind,
  /** @type {string} */ file,
  /** @type {number[]} */ dims,
  answer = '',
) {
  const process = side('serve-side.mjs');
  const { port } = await process.ask({ do: 'serve', kind, file, dims, answer });
  const image = randn(dims, { seed: 1 }).data;
  const name = join(folder, `${kind}-${sides.length}`);
  writeFileSync(name, image);
  const [path, headers] = kind === 'qarepvgg' ? ['/v2/models/model/infer', rawRequest] : ['/infer', {}];
  const first = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', headers, body: readFileSync(name) });
  const answered = Buffer.from(await first.arrayBuffer());
  writeFileSync(`${name}.expected`, answered);
  /** @type {Target} */
  const target = { port, path, headers, body: name, expected: `${name}.expected` };
  return { process, target, answered, headerLength: Number(first.headers.get('inference-header-content-length') ?? 0) };
}

/** The body is the tensor and nothing else. @type {Record<string, string>} */
const rawRequest = { 'inference-header-content-length': '0' };

/** Seconds until a server is as busy as it will be. */
const warmUp = 0.5;

/** @param {Target} target @param {object} [more] @returns {Promise<Result>} */
const load = (target, more = {}) =>
  client.ask({ do: 'load', ...target, clients, seconds: seconds + warmUp, warmUp, ...more });

/** @param {Result} result */
function checked(result) {
  const { statuses, lost, wrong } = result;
  if (wrong + lost > 0 || Object.keys(statuses).join() !== '200') {
    throw new Error(`expected right answers, received ${JSON.stringify({ statuses, lost, wrong })}`);
  }
  return result;
}

/** ours / theirs of rates by round. @param {string} what @param {number[][][]} rates @param {string} more @returns {Row} */
function row(what, rates, more = '') {
  const [ours, theirs] = /** @type {[number[][], number[][]]} */ (rates);
  const ratios = ours.map((values, i) => Number(values[0]) / Number(theirs[i]?.[0])).sort((a, b) => a - b);
  const of = (/** @type {number[][]} */ list) => median(list.flat()).toFixed(0);
  const ratio = `${median(ratios).toFixed(2)} [${ratios[0]?.toFixed(2)}-${ratios.at(-1)?.toFixed(2)}]`;
  return { what, ours: of(ours), theirs: of(theirs), ratio, more };
}

/** @type {Record<string, (onRow: (row: Row) => void) => Promise<void>>} */
const measure = {
  async engine(onRow) {
    for (const precision of /** @type {const} */ (['float32', 'int8'])) {
      const { safetensors: file } = (await model()).files[precision];
      const server = await startServer('qarepvgg', file, imageDims);
      const engine = side('serve-side.mjs');
      await engine.ask({ do: 'engine', file, dims: imageDims });
      let [batch, best] = [1, 0];
      for (const candidate of [threads, 4 * threads, 8 * threads]) {
        await engine.ask({ do: 'images', batch: candidate, seconds: 0.3 });
        const { perSecond } = await engine.ask({ do: 'images', batch: candidate, seconds: 1 });
        if (perSecond > best) [batch, best] = [candidate, perSecond];
      }
      /** @type {number[]} */
      const shares = [];
      const rates = await takeTurns(['server', 'engine'], rounds, async (name) => {
        if (name === 'engine') return (await engine.ask({ do: 'images', batch, seconds })).perSecond;
        const { perSecond, seconds: took, cpuSeconds } = checked(await load(server.target));
        const cores = Math.min(threads, availableParallelism());
        shares.push(cpuSeconds / (took * cores));
        return perSecond / (1 - cpuSeconds / (took * cores));
      });
      const more = `batch ${batch} in process; client took ${(100 * median(shares)).toFixed(0)} % of the CPU`;
      onRow(row(`A0 ${precision}, images/s: HTTP / in process`, rates, more));
    }
  },

  async bare(onRow) {
    const file = fileURLToPath(new URL('../models/fashion-mnist.safetensors', import.meta.url));
    const dims = [1, 1, 28, 28];
    const server = await startServer('qarepvgg', file, dims);
    const bare = await startServer('bare', '', dims, server.target.expected);
    const engine = side('serve-side.mjs');
    await engine.ask({ do: 'engine', file, dims });
    /** Processor time for each request, in microseconds. @type {Map<Server, number[]>} */
    const costs = new Map([server.process, bare.process, engine].map((one) => [one, []]));
    /** @template T @param {Server} one @param {() => Promise<T>} work @param {(result: T) => number | undefined} countOf */
    const withCost = async (one, work, countOf) => {
      const before = (await one.ask({ do: 'cpu' })).microseconds;
      const result = await work();
      const spent = (await one.ask({ do: 'cpu' })).microseconds - before;
      costs.get(one)?.push(spent / Number(countOf(result)));
      return result;
    };
    const cost = (/** @type {Server} */ one) => median(costs.get(one) ?? []).toFixed(0);
    const rates = await takeTurns([server, bare], rounds, async ({ process, target }) => {
      const result = await withCost(
        process,
        () => load(target),
        ({ statuses }) => statuses['200'],
      );
      return checked(result).perSecond;
    });
    const computing = () => engine.ask({ do: 'images', batch: 8 * threads, seconds });
    await computing();
    const { perSecond } = await withCost(engine, computing, ({ images }) => images);
    const bareRate = median((rates[1] ?? []).flat());
    const bound = 1 / (1 / perSecond + 1 / bareRate);
    const share = `${(bound / bareRate).toFixed(2)} of the bare route`;
    const more = [
      `the engine alone ${perSecond.toFixed(0)} images/s; both on the same cores at most ${bound.toFixed(0)}, ${share}`,
      `processor time of a request ${cost(server.process)} us, of the bare route ${cost(bare.process)}, of the engine ${cost(engine)}`,
    ].join('; ');
    onRow(row('shipped network, requests/s: server / bare Fastify route', rates, more));
  },

  async onnxruntime(onRow) {
    const { safetensors, onnx } = (await model()).files.int8;
    const ours = await startServer('qarepvgg', safetensors, imageDims);
    const theirs = await startServer('onnxruntime', onnx, imageDims);
    if (!ours.answered.subarray(ours.headerLength).equals(theirs.answered)) throw new Error('expected the same logits');
    /** @type {number[][]} */
    const p99 = [[], []];
    const contenders = [ours, theirs];
    const rates = await takeTurns(contenders, rounds, async (one) => {
      const { perSecond, ms } = checked(await load(one.target));
      p99[contenders.indexOf(one)]?.push(ms.p99);
      return perSecond;
    });
    const [a, b] = p99.map((list) => `${median(list).toFixed(0)} ms`);
    onRow(row('A0 int8, images/s: server / Fastify + onnxruntime-node', rates, `p99 ${a} / ${b}`));
  },

  async overhead(onRow) {
    const file = fileURLToPath(new URL('../models/fashion-mnist.safetensors', import.meta.url));
    const dims = [1, 1, 28, 28];
    const server = await startServer('qarepvgg', file, dims);
    const engine = side('serve-side.mjs');
    await engine.ask({ do: 'engine', file, dims });
    const times = await takeTurns(['server', 'engine'], rounds, async (name) => {
      if (name === 'engine') return median((await engine.ask({ do: 'single', runs: 1000 })).ms);
      return checked(await load(server.target, { clients: 1, seconds: 1 })).ms.p50;
    });
    const [ours, theirs] = times.map((list) => median(list.flat()));
    const more = `overhead ${(Number(ours) - Number(theirs)).toFixed(3)} ms`;
    const text = (/** @type {number | undefined} */ value) => Number(value).toFixed(3);
    onRow({ what: 'one request, ms: HTTP, session.run', ours: text(ours), theirs: text(theirs), ratio: '', more });
  },

  async overload(onRow) {
    const { safetensors: file } = (await model()).files.int8;
    const server = await startServer('qarepvgg', file, imageDims);
    const capacity = checked(await load(server.target)).perSecond;
    const idle = checked(await load(server.target, { clients: 1 })).ms.p99;
    // Memory is compared with that of a server that has been busy before.
    await load(server.target, { clients: 512, rate: 4 * capacity });
    const before = await server.process.ask({ do: 'memory' });
    await server.process.ask({ do: 'delay' });
    const result = await load(server.target, { clients: 512, rate: 4 * capacity, seconds: 4 * seconds });
    const delay = await server.process.ask({ do: 'delay' });
    const after = await server.process.ask({ do: 'memory' });
    const { statuses, ms, refusedMs, ahead } = result;
    const more = [
      `event loop p99 ${delay.p99.toFixed(1)} ms, max ${delay.max.toFixed(1)} ms`,
      `answers ${JSON.stringify(statuses)}, lost ${result.lost}, wrong ${result.wrong}`,
      `p99 ${ms.p99.toFixed(0)} ms behind ${ahead.p99.toFixed(0)} others (alone ${idle.toFixed(0)} ms), of refusals ${refusedMs.p99.toFixed(0)} ms`,
      `memory +${(after.mebibytes - before.mebibytes).toFixed(0)} MiB`,
    ].join('; ');
    const rate = result.perSecond.toFixed(0);
    onRow({
      what: 'A0 int8, images/s: at 4x overload, at capacity',
      ours: rate,
      theirs: capacity.toFixed(0),
      ratio: '',
      more,
    });
  },
};
if (!sections.every((name) => name in measure)) refuse(usage);

const imageDims = [1, 3, size, size];
/** @type {ReturnType<typeof makeModel> | undefined} */
let made;
function model() {
  made ??= makeModel('qarepvgg_a0', size, folder, ['float32', 'int8']);
  return made;
}

/** @type {Row[]} */
const rows = [];
try {
  if (!values.json) {
    console.log(
      `${cpus()[0]?.model}, ${threads} threads, ${isa}; Node ${process.version}; ${clients} clients, ${rounds} rounds`,
    );
  }
  for (const name of sections) {
    await measure[name]?.((one) => {
      rows.push(one);
      if (!values.json) console.log(`${one.what}: ${one.ours}, ${one.theirs}  ${one.ratio}\n    ${one.more}`);
    });
  }
  if (values.json) console.log(JSON.stringify(rows, null, 2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  for (const one of sides) one.close();
}
