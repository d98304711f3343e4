// npm run bench:busy: how fast inference and training are while other work wants the processors.
//
// In each condition three sides take turns in one run: this package with as many threads as it takes by default and with one,
// and onnxruntime-node with as many as the first. Each is a process of its own that sleeps while the others compute. They
// must compute the same before anything is timed: the first two the same bits, onnxruntime the same integers, and floats to
// rounding.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { info, randn } from 'qarepvgg';
import { BusyProcess, canPin } from './lib/busy-process.mjs';
import { makeModel } from './lib/inference.mjs';
import { expectAlike, median, readFloats } from './lib/numbers.mjs';
import { readCount, readCounts, readOptions, refuse } from './lib/options.mjs';
import { toMarkdown, toText } from './lib/report.mjs';
import { Server } from './lib/server.mjs';
import { takeTurns } from './lib/turns.mjs';

const usage = `usage: npm run bench:busy -- [options]
  --conditions LIST  of quiet, pinned, free, onnxruntime, sharp, javascript; default all
  --tasks LIST       of float32, int8, training; default all
  --batches LIST     default 1,8; of training it is 64
  --threads N        of the sides with several, default all
  --rounds N         turns of each side, default 5
  --quick            batch 1, few and short rounds
  --markdown         print tables in Markdown
  --json             print JSON

  quiet        nothing else
  pinned       another process that is always busy, on processor 1
  free         the same, on whichever the system likes
  onnxruntime  a session of onnxruntime-node in the same process, in turns with what is measured
  sharp        sharp decodes JPEGs on the threads of libuv, in the same process
  javascript   the JavaScript thread is busy half of the time`;

/** @typedef {'float32' | 'int8' | 'training'} Task */
/** @typedef {'quiet' | 'pinned' | 'free' | 'onnxruntime' | 'sharp' | 'javascript'} Condition */
/** @typedef {{ label: 'ours' | 'one' | 'theirs', server: Server, threads: number, file: string, tolerance: number, team?: number }} Side */
/** @typedef {{ median: number, low: number, high: number }} Ratio of rounds */
/**
 * @typedef {object} Row
 * @property {Condition} condition
 * @property {Task} task
 * @property {number} batch
 * @property {Partial<Record<Side['label'], number>>} ms per image (per step of a training), medians
 * @property {Ratio} toOne our default threads / one thread: what waiting costs
 * @property {Ratio} [toTheirs] theirs / our default threads
 * @property {Partial<Record<Side['label'], number>>} delay of the event loop, p99 in ms
 * @property {number} team threads that shared the work at the end of the last turn
 * @property {number} peak of all threads, in the same rounds, in GOP/s
 */

/** @type {Condition[]} */
const allConditions = ['quiet', 'pinned', 'free', 'onnxruntime', 'sharp', 'javascript'];
/** @type {Task[]} */
const allTasks = ['float32', 'int8', 'training'];
const inputSize = 224;
const trainingBatch = 64;

/**
 * @param {{ conditions: Condition[], tasks: Task[], batches: number[], threads: number, rounds: number, seconds: number }} setting
 * @param {(row: Row) => void} onRow
 */
async function measure({ conditions, tasks, batches, threads, rounds, seconds }, onRow) {
  const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-busy-'));
  try {
    /** @type {import('./lib/inference.mjs').Precision[]} */
    const precisions = tasks.includes('int8') ? ['float32', 'int8'] : ['float32'];
    const model = await makeModel('qarepvgg_a0', inputSize, folder, precisions);
    for (const task of tasks) {
      const sides = makeSides(task, threads, model);
      try {
        for (const batch of task === 'training' ? [trainingBatch] : batches) {
          await prepare(sides, task, batch, folder);
          for (const condition of conditions) {
            const row = await measureRow(sides, condition, task, batch, {
              rounds,
              seconds,
              file: model.files.float32.onnx,
            });
            onRow(row);
          }
        }
      } finally {
        for (const { server } of sides) server.close();
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The one that others are compared with comes last. @param {Task} task @param {number} threads @param {import('./lib/inference.mjs').Model} model @returns {Side[]} */
function makeSides(task, threads, model) {
  const script = join(import.meta.dirname, 'busy-side.mjs');
  const start = (/** @type {string} */ engine) => new Server(process.execPath, [script, engine]);
  const { safetensors, onnx } = model.files[task === 'training' ? 'float32' : task];
  const ours = { file: safetensors, tolerance: 0 };
  const theirs = { file: onnx, tolerance: task === 'int8' ? 0 : 3e-5 };
  return [
    { label: 'ours', server: start('qarepvgg'), threads, ...ours },
    ...(task === 'training'
      ? []
      : [{ label: /** @type {const} */ ('theirs'), server: start('onnxruntime'), threads, ...theirs }]),
    { label: 'one', server: start('qarepvgg'), threads: 1, ...ours },
  ];
}

/** @param {Side[]} sides @param {Task} task @param {number} batch @param {string} folder */
async function prepare(sides, task, batch, folder) {
  const dims = [batch, 3, inputSize, inputSize];
  const input = join(folder, 'input');
  writeFileSync(input, randn(dims, { seed: batch }).data);
  const outputs = [];
  for (const { server, label, file, threads } of sides) {
    if (task === 'training') {
      await server.ask({ do: 'train', threads });
    } else {
      await server.ask({ do: 'create', file, threads });
      await server.ask({ do: 'load', input, dims });
    }
    const output = join(folder, `output-${label}`);
    await server.ask({ do: 'check', output });
    outputs.push(readFloats(output));
  }
  expectAlike(sides, outputs);
}

/**
 * @param {Side[]} sides @param {Condition} condition @param {Task} task @param {number} batch
 * @param {{ rounds: number, seconds: number, file: string }} setting @returns {Promise<Row>}
 */
async function measureRow(sides, condition, task, batch, { rounds, seconds, file }) {
  const by = ['onnxruntime', 'sharp', 'javascript'].includes(condition) ? condition : undefined;
  // The same for all: a session of onnxruntime with one thread would not spin.
  const { threads: all } = /** @type {Side} */ (sides[0]);
  for (const { server } of sides) await server.ask({ do: 'disturb', by, file, threads: all });
  const [ours] = /** @type {[Side]} */ (sides);
  /** @type {number[]} */
  const peaks = [];
  /** @type {Map<string, number[]>} */
  const delays = new Map();
  const busy = condition === 'pinned' || condition === 'free' ? new BusyProcess(condition === 'pinned') : undefined;
  try {
    const results = await takeTurns(sides, rounds, async (side) => {
      const { server, label, threads } = side;
      if (side === ours) {
        const precision = task === 'int8' ? 'int8' : 'float32';
        peaks.push((await server.ask({ do: 'peak', precision, threads })).gigaops);
      }
      const { ms, team } = await server.ask({ do: 'time', seconds });
      side.team = team;
      const { p99 } = await server.ask({ do: 'delay', seconds: seconds / 2 });
      delays.set(label, [...(delays.get(label) ?? []), p99]);
      return ms.map((/** @type {number} */ time) => (task === 'training' ? time : time / batch));
    });
    const rounded = Object.fromEntries(sides.map(({ label }, i) => [label, (results[i] ?? []).map(median)]));
    const ratio = (/** @type {Side['label']} */ a, /** @type {Side['label']} */ b) => {
      const ratios = (rounded[a] ?? []).map((value, i) => value / Number(rounded[b]?.[i]));
      return { median: median(ratios), low: Math.min(...ratios), high: Math.max(...ratios) };
    };
    return {
      condition,
      task,
      batch,
      ms: Object.fromEntries(sides.map(({ label }, i) => [label, median((results[i] ?? []).flat())])),
      toOne: ratio('ours', 'one'),
      ...(rounded.theirs && { toTheirs: ratio('theirs', 'ours') }),
      delay: Object.fromEntries([...delays].map(([label, list]) => [label, median(list)])),
      team: Number(ours.team),
      peak: median(peaks),
    };
  } finally {
    busy?.end();
  }
}

/** @param {readonly Row[]} rows @returns {import('./lib/report.mjs').Table} */
function toTable(rows) {
  const head = [
    'task',
    'batch',
    'condition',
    'ours, ms',
    '1 thread',
    'onnxruntime',
    'ours / 1 thread',
    'onnxruntime / ours',
  ];
  head.push('event loop p99: ours, ms', 'onnxruntime', 'team', 'peak, GOP/s');
  const number = (/** @type {number | undefined} */ value) => (value === undefined ? '' : value.toPrecision(3));
  const range = (/** @type {Ratio | undefined} */ ratio) =>
    ratio ? `${ratio.median.toFixed(2)} [${ratio.low.toFixed(2)}-${ratio.high.toFixed(2)}]` : '';
  const lines = rows.map(({ task, batch, condition, ms, toOne, toTheirs, delay, team, peak }) => [
    ...[task, `${batch}`, condition, number(ms.ours), number(ms.one), number(ms.theirs), range(toOne), range(toTheirs)],
    ...[number(delay.ours), number(delay.theirs), `${team}`, peak.toFixed(0)],
  ]);
  return [head, ...lines];
}

async function main() {
  const values = readOptions(usage, {
    conditions: { type: 'string', default: allConditions.join() },
    tasks: { type: 'string', default: allTasks.join() },
    batches: { type: 'string' },
    threads: { type: 'string' },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    markdown: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  });
  const { threads, isa } = info();
  const { quick } = values;
  const conditions = /** @type {Condition[]} */ (values.conditions.split(','));
  const tasks = /** @type {Task[]} */ (values.tasks.split(','));
  const areKnown =
    conditions.every((condition) => allConditions.includes(condition)) &&
    tasks.every((task) => allTasks.includes(task));
  if (!areKnown) refuse(usage);
  const setting = {
    conditions: conditions.filter((condition) => condition !== 'pinned' || canPin()),
    tasks,
    batches: readCounts(usage, values.batches ?? (quick ? '1' : '1,8')),
    threads: readCount(usage, values.threads ?? `${threads}`),
    rounds: readCount(usage, values.rounds ?? (quick ? '2' : '5')),
    seconds: quick ? 0.15 : 0.4,
  };
  const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json');
  const facts = [
    `${cpus()[0]?.model ?? 'unknown CPU'}, ${threads} threads, ${isa}; Node ${process.version}`,
    `qarepvgg ${info().version}, onnxruntime-node ${version}; QARepVGG-A0, images of ${inputSize} x ${inputSize}`,
    `${setting.rounds} rounds of ${setting.seconds} s, the sides in turn; medians, ratios as medians of rounds [range]`,
  ];
  /** @type {Row[]} */
  const rows = [];
  if (!values.json) console.log(facts.map((fact) => (values.markdown ? `- ${fact}` : fact)).join('\n'));
  await measure(setting, (row) => {
    rows.push(row);
    // A table of all comes at the end, with columns as wide as they must be.
    if (!values.json) console.error(toTable([row])[1]?.join('  '));
  });
  if (values.json) console.log(JSON.stringify({ facts, rows }, null, 2));
  else console.log(`\n${(values.markdown ? toMarkdown : toText)(toTable(rows))}`);
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
