// npm run bench:ort: inference of QARepVGG networks, ours against onnxruntime-node's, turn by turn in one run.
//
// Both sides load the same weights from files, ours from safetensors and theirs from the ONNX file that exportOnnx writes,
// and must compute the same logits before anything is timed. Each side is a process of its own (inference-side.mjs) that
// sleeps while the other computes. A ratio is theirs / ours within one round; tables show the median round and the range.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { info } from 'qarepvgg';
import { makeModel, measureDelay, measureQueue, measureSpeed, measureStart } from './lib/inference.mjs';
import { barChart } from './lib/plot.mjs';
import { toMarkdown, toTable, toText } from './lib/report.mjs';

const usage = `usage: npm run bench:ort -- [options]
  --threads LIST   thread counts, default 1 and all
  --batches LIST   default 1,8,32
  --others LIST    networks besides qarepvgg_a0, default qarepvgg_b0,qarepvgg_b1,qarepvgg_b1g4
  --rounds N       turns of each side, default 7
  --size N         side of the images, default 224
  --quick          one thread, one batch, no other networks, few rounds
  --write          write docs/benchmarks.md and its plot
  --json           print JSON`;

/** @typedef {import('./lib/inference.mjs').Row} Row */
/** @typedef {{ title: string, rows: Row[] }} Section */

/** @param {{ threads: number[], batches: number[], others: string[], rounds: number, size: number }} setting @param {(section: Section) => void} onSection */
async function run({ threads, batches, others, rounds, size }, onSection) {
  const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-bench-'));
  const most = Math.max(...threads);
  try {
    const model = await makeModel('qarepvgg_a0', size, folder);
    const rows = [];
    for (const count of threads) rows.push(...(await measureSpeed(model, count, batches, rounds)));
    onSection({ title: 'Speed', rows });

    onSection({
      title: 'Serving',
      rows: [
        ...(await measureStart(model, most, 8, rounds)),
        await measureDelay(model, most, 8, rounds),
        await measureQueue(model, most, 32, rounds),
      ],
    });

    const more = [];
    for (const name of others) {
      more.push(...(await measureSpeed(await makeModel(name, size, folder), 1, [1, 8], rounds)));
    }
    if (more.length > 0) onSection({ title: 'Other networks', rows: more });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {string[]} facts @param {readonly Section[]} sections */
function writeDocument(facts, sections) {
  const folder = join(import.meta.dirname, '..', 'docs');
  const speed = /** @type {Section} */ (sections[0]).rows;
  const groups = speed.map(({ threads, batch, ours, theirs }) => ({
    label: `${threads} thread${threads > 1 ? 's' : ''}, batch ${batch}`,
    values: [...ours.map(({ spread }) => spread), theirs].map(({ median }) => 1000 / median),
  }));
  const title = 'QARepVGG-A0: images per second (longer is better)';
  const series = ["qarepvgg 'auto'", "qarepvgg 'gemm'", 'onnxruntime-node'];
  writeFileSync(
    join(folder, 'benchmarks.svg'),
    barChart(title, series, groups, (value) => value.toFixed(0)),
  );
  const parts = [
    '# Inference, side by side with onnxruntime-node',
    'Written by `npm run bench:ort -- --write`; run it on your machine.',
    facts.map((fact) => `- ${fact}`).join('\n'),
    'Both sides load the same weights and must compute the same logits before anything is timed. Each is a process of its\n' +
      'own that sleeps while the other computes; they take turns in one run. Smaller numbers are better. A ratio is\n' +
      'onnxruntime / qarepvgg within one round: the median round, and the range over all rounds.',
    '![Images per second](benchmarks.svg)',
    ...sections.flatMap(({ title, rows }) => [`## ${title}`, toMarkdown(toTable(rows)).trimEnd()]),
  ];
  writeFileSync(join(folder, 'benchmarks.md'), `${parts.join('\n\n')}\n`);
}

async function main() {
  const { values } = parseArgs({
    options: {
      threads: { type: 'string' },
      batches: { type: 'string' },
      others: { type: 'string' },
      rounds: { type: 'string' },
      size: { type: 'string', default: '224' },
      quick: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(usage);
  const { threads: all, isa } = info();
  const quick = values.quick;
  const list = (/** @type {string} */ text) => text.split(',').filter((item) => item !== '');
  const setting = {
    threads: list(values.threads ?? (quick || all === 1 ? '1' : `1,${all}`)).map(Number),
    batches: list(values.batches ?? (quick ? '8' : '1,8,32')).map(Number),
    others: list(values.others ?? (quick ? '' : 'qarepvgg_b0,qarepvgg_b1,qarepvgg_b1g4')),
    rounds: Number(values.rounds ?? (quick ? 2 : 7)),
    size: Number(values.size),
  };
  const numbers = [...setting.threads, ...setting.batches, setting.rounds, setting.size];
  if (!numbers.every((value) => Number.isInteger(value) && value >= 1)) {
    console.error(usage);
    process.exitCode = 2;
    return;
  }

  const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json');
  const facts = [
    `${cpus()[0]?.model ?? 'unknown CPU'}, ${all} threads, ${isa}; Node ${process.version}`,
    `qarepvgg ${info().version}, onnxruntime-node ${version}; images of ${setting.size} x ${setting.size}, float32`,
    `${setting.rounds} rounds, the sides in turn, one warm-up round`,
  ];
  if (!values.json) console.log(facts.join('\n'));
  /** @type {Section[]} */
  const sections = [];
  await run(setting, (section) => {
    sections.push(section);
    if (!values.json) console.log(`\n${section.title}\n${toText(toTable(section.rows))}`);
  });
  if (values.write) writeDocument(facts, sections);
  if (values.json) console.log(JSON.stringify({ facts, sections }, null, 2));
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
