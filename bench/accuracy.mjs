// npm run bench:accuracy: how far training steps are from PyTorch's, and the deploy form of whole networks from the train
// form; exit code 1 where that is more than the limits below.
//
// What PyTorch 1.13.1 computes is in test/fixtures/training.safetensors; README.md there says how it was made.

import { createModel, info, Trainer, verifyEquivalence } from 'qarepvgg';
import { Random } from '../dist/random.js';
import { loadTrainingFixtures } from '../test/fixtures/training.cjs';
import { difference } from './lib/numbers.mjs';
import { readOptions, refuse } from './lib/options.mjs';
import { toText } from './lib/report.mjs';

const usage = `usage: npm run bench:accuracy -- [options]
  --sections LIST  of training, forms; default both
  --models LIST    for forms, default qarepvgg_a0 to b1g4, repvgg_a0
  --json           print JSON`;

/** Largest differences: relative for losses, relative L2 of a tensor for all else. */
const limits = {
  training: { loss: 1e-3, weights: 5e-3, statistics: 5e-3 },
  forms: { logits: 1e-5, block: 3e-6 },
};

const defaultModels = [
  ...['a0', 'a1', 'a2', 'b0', 'b1', 'b1g2', 'b1g4'].map((size) => `qarepvgg_${size}`),
  'repvgg_a0',
];

/** @typedef {{ name: string } & Record<string, string | number>} Row a name and differences, under the names of their limits */

/** @param {import('../test/fixtures/training.cjs').TrainingFixture} fixture @returns {Promise<Row>} */
async function compareTraining({ name, variant, network, options, images, labels, state, losses, trainedState }) {
  const model = createModel('qarepvgg_a0', { ...network, variant });
  model.loadStateDict(state);
  const trainer = new Trainer(model, options);
  let loss = 0;
  for (const [i, expected] of losses.entries()) {
    const report = await trainer.step(/** @type {import('qarepvgg').Tensor} */ (images[i]), labels[i] ?? []);
    loss = Math.max(loss, Math.abs(report.loss / expected - 1));
  }
  const trained = model.stateDict();
  const worst = { weights: 0, statistics: 0 };
  for (const [key, { data }] of Object.entries(trainedState)) {
    const kind = /running|tracked/.test(key) ? 'statistics' : 'weights';
    worst[kind] = Math.max(worst[kind], difference(trained[key]?.data ?? new Float32Array(), data));
  }
  return { name, steps: losses.length, loss, ...worst };
}

/** A published network in eval mode; its batch norms have random statistics, weights and biases. @param {string} name */
function randomNetwork(name) {
  const model = createModel(/** @type {import('qarepvgg').ArchitectureName} */ (name)).eval();
  const random = new Random(1);
  const state = model.stateDict();
  for (const [key, { data, dims }] of Object.entries(state)) {
    if (key.endsWith('running_var')) random.fillUniform(data, 0.5, 2);
    else if (key.includes('1x1') && dims.length === 4) random.fillNormal(data, 0, 1 / Math.sqrt(Number(dims[1])));
    else if (/(bn|identity)\.weight$/.test(key)) random.fillUniform(data, 0.5, 1.5);
    else if (/(bn|identity)\.(bias|running_mean)$/.test(key)) random.fillNormal(data, 0, 0.3);
  }
  model.loadStateDict(state);
  return model;
}

/** On one random image; blocks one by one, the worst counts. @param {string} name @returns {Row} */
function compareForms(name) {
  const model = randomNetwork(name);
  const { whole, blocks } = verifyEquivalence(model, model.reparameterize(), { samples: 1 });
  return { name, logits: whole.relativeL2, block: Math.max(...blocks.map(({ relativeL2 }) => relativeL2)) };
}

/** @param {readonly Row[]} rows @param {Record<string, number>} limit */
function areWithin(rows, limit) {
  return rows.every((row) => Object.entries(limit).every(([key, most]) => Number(row[key]) <= most));
}

/** @param {string} title @param {readonly Row[]} rows @param {Record<string, number>} limit */
function print(title, rows, limit) {
  const keys = Object.keys(limit);
  const lines = [...rows, { name: 'limit', ...limit }].map((/** @type {Row} */ row) => [
    row.name,
    ...keys.map((key) => Number(row[key]).toExponential(1)),
  ]);
  console.log(`\n${title}\n${toText([['', ...keys], ...lines]).trimEnd()}`);
}

async function main() {
  const values = readOptions(usage, {
    sections: { type: 'string', default: Object.keys(limits).join() },
    models: { type: 'string', default: defaultModels.join() },
    json: { type: 'boolean', default: false },
  });
  const sections = values.sections.split(',');
  if (!sections.every((section) => section in limits)) refuse(usage);
  const fixtures = sections.includes('training') ? loadTrainingFixtures() : [];
  const training = [];
  for (const fixture of fixtures) training.push(await compareTraining(fixture));
  const forms = (sections.includes('forms') ? values.models.split(',') : []).map(compareForms);
  const isWithin = areWithin(training, limits.training) && areWithin(forms, limits.forms);
  if (values.json) console.log(JSON.stringify({ isa: info().isa, limits, training, forms, isWithin }, null, 2));
  else {
    console.log(`kernels: ${info().isa}`);
    if (training.length > 0)
      print('20 training steps: largest differences from PyTorch 1.13.1', training, limits.training);
    if (forms.length > 0) {
      print('Deploy form against train form, 224 x 224: logits, and the worst block', forms, limits.forms);
    }
    console.log(isWithin ? '\nAll within the limits.' : '\nNot all within the limits.');
  }
  if (!isWithin) process.exitCode = 1;
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
