// npm run bench:ort: inference of QARepVGG networks, ours against onnxruntime-node's, turn by turn in one run.
//
// Both sides load the same weights from files, ours from safetensors and theirs from the ONNX file that exportOnnx writes,
// and must compute the same logits before anything is timed: in float32 to rounding, in INT8 to the bit. Each side is a process of its own (inference-side.mjs) that
// sleeps while the other computes. A ratio is theirs / ours within one round; tables show the median round and the range.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { info } from 'qarepvgg';
import { measureNetwork, opencvVersion } from './lib/graphs.mjs';
import {
  againstTfjs,
  contenders,
  gains,
  makeModel,
  measureDelay,
  measureNcnn,
  measureQueue,
  measureSpeed,
  measureStart,
} from './lib/inference.mjs';
import { readCount, readCounts, readOptions, refuse } from './lib/options.mjs';
import { barChart } from './lib/plot.mjs';
import { toMarkdown, toTable, toText } from './lib/report.mjs';
import { noTfjs, tfjsVersion } from './lib/tfjs.mjs';
import { networkNames } from './lib/zoo.mjs';

const usage = `usage: npm run bench:ort -- [options]
  --models LIST    only these networks from ONNX files: ${networkNames.join(', ')};
                   a name:8 is a batch of 8; with OpenCV's dnn module as a second peer where python3-opencv is installed
  --peers LIST     of onnxruntime, opencv, for --models
  --ncnn PATH      a benchncnn, ncnn's own program: one more section; its weights are zeros, so results are not compared
  --sections LIST  of speed, gain (INT8 against float32), serving, tfjs, networks; default all
  --precisions LIST  default float32,int8
  --threads LIST   thread counts, default 1 and all
  --batches LIST   default 1,8,32
  --others LIST    networks besides qarepvgg_a0, default qarepvgg_b0,qarepvgg_b1,qarepvgg_b1g4
  --rounds N       turns of each side, default 7
  --size N         side of the images, default 224
  --quick          one thread, one batch, no other networks, few rounds
  --write          write docs/benchmarks.md and its plots
  --json           print JSON`;

/** @typedef {import('./lib/inference.mjs').Row} Row */
/** @typedef {import('./lib/inference.mjs').Precision} Precision */
/** @typedef {{ title: string, precision?: Precision, rows: Row[] }} Section with a precision, it is plotted */

/** @type {Record<Precision, string>} */
const titles = { float32: 'Speed in float32', int8: 'Speed in INT8' };

const allSections = ['speed', 'gain', 'serving', 'tfjs', 'networks'];

/** @param {{ sections: string[], precisions: Precision[], threads: number[], batches: number[], others: string[], rounds: number, size: number, ncnn: string | undefined }} setting @param {(section: Section) => void} onSection */
async function run({ sections, precisions, threads, batches, others, rounds, size, ncnn }, onSection) {
  const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-bench-'));
  const most = Math.max(...threads);
  try {
    const model = await makeModel('qarepvgg_a0', size, folder, precisions);
    for (const precision of sections.includes('speed') ? precisions : []) {
      const rows = [];
      for (const count of threads) {
        const sides = contenders(model, precision);
        rows.push(...(await measureSpeed(model.name, model, sides, precision, count, batches, rounds)));
      }
      onSection({ title: titles[precision], precision, rows });
    }
    if (sections.includes('gain') && precisions.includes('int8')) {
      const { auto, gemm, theirs } = gains(model);
      onSection({
        title: 'INT8 against float32',
        rows: [
          ...(await measureSpeed("INT8 / our float32 'auto'", model, auto, 'int8', 1, [8], rounds)),
          ...(await measureSpeed("INT8 / our float32 'gemm'", model, gemm, 'int8', 1, [8], rounds)),
          ...(await measureSpeed('INT8 / float32 of onnxruntime', model, theirs, 'int8', 1, [8], rounds)),
        ],
      });
    }
    if (sections.includes('serving') && precisions.includes('float32')) {
      onSection({
        title: 'Serving',
        rows: [
          ...(await measureStart(model, most, 8, rounds)),
          await measureDelay(model, most, 8, rounds),
          await measureQueue(model, most, 32, rounds),
        ],
      });
    }

    if (sections.includes('tfjs') && tfjsVersion()) {
      const rows = await measureSpeed(model.name, model, againstTfjs(model), 'float32', 1, [1], rounds);
      onSection({ title: 'TensorFlow.js (wasm) in float32', rows });
    }

    if (ncnn !== undefined) {
      const rows = [];
      for (const precision of precisions)
        for (const count of threads) rows.push(await measureNcnn(ncnn, model, precision, count, rounds));
      onSection({ title: 'ncnn', rows });
    }

    const more = [];
    for (const name of sections.includes('networks') ? others : []) {
      const other = await makeModel(name, size, folder, precisions);
      for (const precision of precisions) {
        const what = `${name}, ${precision}`;
        const sides = contenders(other, precision);
        more.push(...(await measureSpeed(what, other, sides, precision, 1, [1, 8], rounds)));
      }
    }
    if (more.length > 0) onSection({ title: 'Other networks', rows: more });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {readonly string[]} models @param {readonly string[]} peers @param {{ precisions: Precision[], threads: number[], rounds: number }} setting @param {(section: Section) => void} onSection */
async function runModels(models, peers, { precisions, threads, rounds }, onSection) {
  const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-bench-'));
  try {
    for (const peer of peers) {
      for (const model of models) {
        const [name = '', batch = '1'] = model.split(':');
        try {
          const rows = await measureNetwork(name, Number(batch), threads, rounds, peer, precisions, folder);
          onSection({ title: `${name}, batch ${batch}, against ${peer}`, rows });
        } catch (error) {
          // What another engine cannot read is no result of ours.
          if (peer === 'onnxruntime') throw error;
          console.error(`${name}: ${peer} fails: ${error instanceof Error ? error.message : error}`);
        }
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {string[]} facts @param {readonly Section[]} sections */
function writeDocument(facts, sections) {
  const folder = join(import.meta.dirname, '..', 'docs');
  const charts = sections.flatMap(({ precision, rows }) => {
    if (!precision) return [];
    const groups = rows.map(({ threads, batch, ours, theirs }) => ({
      label: `${threads} thread${threads > 1 ? 's' : ''}, batch ${batch}`,
      values: [...ours.map(({ spread }) => spread), theirs].map(({ median }) => 1000 / median),
    }));
    const heading = `QARepVGG-A0 in ${precision}: images per second (longer is better)`;
    const series = ["qarepvgg 'auto'", "qarepvgg 'gemm'", 'onnxruntime-node'];
    const file = `benchmarks-${precision}.svg`;
    writeFileSync(
      join(folder, file),
      barChart(heading, series, groups, (value) => value.toFixed(0)),
    );
    return [`![${heading}](${file})`];
  });
  const parts = [
    '# Inference, side by side with onnxruntime-node',
    'Written by `npm run bench:ort -- --write`; run it on your machine.',
    facts.map((fact) => `- ${fact}`).join('\n'),
    'Both sides load the same weights and must compute the same logits before anything is timed. Each is a process of its\n' +
      'own that sleeps while the other computes; they take turns in one run. Smaller numbers are better. A ratio is\n' +
      'theirs / ours within one round: the median round, and the range over all rounds. GOP/s are those of direct\n' +
      'convolution, two operations per multiply-add, whatever the algorithm.',
    'Beside other work: [busy-machines.md](busy-machines.md).',
    ...charts,
    ...sections.flatMap(({ title, rows }) => [`## ${title}`, toMarkdown(toTable(rows)).trimEnd()]),
  ];
  const document = join(folder, 'benchmarks.md');
  writeFileSync(document, `${parts.join('\n\n')}\n`);
  const formatter = createRequire(import.meta.url).resolve('@biomejs/biome/bin/biome');
  execFileSync(process.execPath, [formatter, 'format', '--write', document], { stdio: 'ignore' });
}

async function main() {
  const values = readOptions(usage, {
    sections: { type: 'string', default: allSections.join() },
    models: { type: 'string' },
    peers: { type: 'string' },
    precisions: { type: 'string', default: 'float32,int8' },
    threads: { type: 'string' },
    batches: { type: 'string' },
    others: { type: 'string' },
    rounds: { type: 'string' },
    ncnn: { type: 'string' },
    size: { type: 'string', default: '224' },
    quick: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  });
  const { threads: all, isa } = info();
  const quick = values.quick;
  const list = (/** @type {string} */ text) => text.split(',').filter((item) => item !== '');
  const precisions = /** @type {Precision[]} */ (list(values.precisions));
  const setting = {
    sections: list(values.sections),
    precisions,
    threads: readCounts(usage, values.threads ?? (quick || all === 1 ? '1' : `1,${all}`)),
    batches: readCounts(usage, values.batches ?? (quick ? '8' : '1,8,32')),
    others: list(values.others ?? (quick ? '' : 'qarepvgg_b0,qarepvgg_b1,qarepvgg_b1g4')),
    rounds: readCount(usage, values.rounds ?? (quick ? '2' : '7')),
    size: readCount(usage, values.size),
    ncnn: values.ncnn,
  };
  const areKnown =
    precisions.every((precision) => precision in titles) &&
    setting.sections.every((section) => allSections.includes(section));
  if (!areKnown) refuse(usage);

  const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json');
  const facts = [
    `${cpus()[0]?.model ?? 'unknown CPU'}, ${all} threads, ${isa}; Node ${process.version}`,
    `qarepvgg ${info().version}, onnxruntime-node ${version}; images of ${setting.size} x ${setting.size}`,
    tfjsVersion() ? `TensorFlow.js ${tfjsVersion()}` : noTfjs,
    `${setting.rounds} rounds, the sides in turn, one warm-up round`,
  ];
  if (!values.json) console.log(facts.join('\n'));
  /** @type {Section[]} */
  const sections = [];
  const onSection = (/** @type {Section} */ section) => {
    sections.push(section);
    if (!values.json) console.log(`\n${section.title}\n${toText(toTable(section.rows))}`);
  };
  if (values.models) {
    const peers = values.peers ?? (opencvVersion() ? 'onnxruntime,opencv' : 'onnxruntime');
    await runModels(list(values.models), list(peers), setting, onSection);
  } else {
    await run(setting, onSection);
  }
  if (values.write && !values.models) writeDocument(facts, sections);
  if (values.json) console.log(JSON.stringify({ facts, sections }, null, 2));
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
