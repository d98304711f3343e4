// Runs the cases of the ONNX project and compares results. Every case passes or stands in exclusions.json with its reason; one
// that stands there and passes is an error, too. With names as arguments, only these, and what goes wrong in detail. With
// --onnxruntime, how many onnxruntime-node passes by the same measure.

import { readFileSync } from 'node:fs';
import ort from 'onnxruntime-node';
import { InferenceSession, importOnnx, Model } from 'qarepvgg';
import { caseNames, dataSets, isOfConvolutionalNetworks, modelPath, root } from './cases.mjs';

/** As ONNX's own runner. */
const [relative, absolute] = [1e-3, 1e-6];

/** @type {Record<string, string[]>} Reason to cases; a name that ends in * stands for all that begin so. */
const exclusions = JSON.parse(readFileSync(new URL('exclusions.json', import.meta.url), 'utf8'));

/** @param {string} name */
function reasonFor(name) {
  const matches = (/** @type {string} */ pattern) =>
    pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name;
  return Object.keys(exclusions).find((reason) => exclusions[reason]?.some(matches));
}

/** What goes wrong; nothing if all is well. @param {string} name */
async function problemOf(name) {
  try {
    const model = await importOnnx(modelPath(name));
    if (!(model instanceof Model)) return 'no model of other origin';
    const session = await InferenceSession.create(model, { algorithm: 'gemm' });
    try {
      for (const { inputs, outputs } of dataSets(name)) {
        const feeds = Object.fromEntries(session.inputNames.map((input, i) => [input, inputs[i]]));
        const results = await session.run(/** @type {any} */ (feeds));
        for (const [i, output] of session.outputNames.entries()) {
          const problem = difference(results[output], outputs[i]);
          if (problem) return `${output}: ${problem}`;
        }
      }
    } finally {
      session.dispose();
    }
    return undefined;
  } catch (error) {
    return String(/** @type {Error} */ (error).message);
  }
}

/** Whether onnxruntime passes. @param {string} name */
async function passesElsewhere(name) {
  try {
    const options = { graphOptimizationLevel: 'disabled', intraOpNumThreads: 1, logSeverityLevel: 4 };
    const session = await ort.InferenceSession.create(modelPath(name), /** @type {any} */ (options));
    for (const { inputs, outputs } of dataSets(name)) {
      const feeds = session.inputNames.flatMap((input, i) => (inputs[i] ? [[input, tensorOf(inputs[i])]] : []));
      const results = await session.run(Object.fromEntries(feeds));
      if (session.outputNames.some((output, i) => difference(results[output], outputs[i]))) return false;
    }
    return true;
  } catch {
    return false;
  }
}

/** @param {any} tensor */
function tensorOf({ type, data, dims }) {
  return new ort.Tensor(type, data, dims);
}

/** @param {any} received @param {any} expected */
function difference(received, expected) {
  if (`${received.dims}` !== `${expected.dims}`) return `dims ${received.dims} where ${expected.dims} should be`;
  if (received.type !== expected.type) return `${received.type} where ${expected.type} should be`;
  for (let i = 0; i < expected.data.length; i++) {
    const [a, b] = [Number(received.data[i]), Number(expected.data[i])];
    if (Object.is(a, b) || a === b) continue;
    if (!(Math.abs(a - b) <= absolute + relative * Math.abs(b))) return `element ${i} is ${a} where ${b} should be`;
  }
  return undefined;
}

let names;
try {
  names = caseNames();
} catch {
  console.error(`no cases in ${root}; on Debian: apt-get install libonnx-testdata`);
  process.exit(1);
}
const asked = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const alsoElsewhere = process.argv.includes('--onnxruntime');
const wrong = [];
const counts = { passed: 0, excluded: 0, elsewhere: 0 };
/** Of the cases that have no operators but those of convolutional networks. */
const ofNetworks = { cases: 0, passed: 0, elsewhere: 0 };
for (const name of asked.length > 0 ? names.filter((name) => asked.some((part) => name.includes(part))) : names) {
  const problem = await problemOf(name);
  const reason = reasonFor(name);
  if (problem === undefined) counts.passed++;
  else if (reason !== undefined) counts.excluded++;
  if (problem === undefined && reason !== undefined) wrong.push(`${name}: passes, but is excluded: ${reason}`);
  else if (problem !== undefined && (reason === undefined || asked.length > 0)) wrong.push(`${name}: ${problem}`);
  const elsewhere = alsoElsewhere && (await passesElsewhere(name)) ? 1 : 0;
  counts.elsewhere += elsewhere;
  if (!isOfConvolutionalNetworks(name)) continue;
  ofNetworks.cases++;
  ofNetworks.elsewhere += elsewhere;
  if (problem === undefined) ofNetworks.passed++;
}
for (const line of wrong) console.error(line);
console.log(`${counts.passed} cases passed, ${counts.excluded} excluded, ${wrong.length} wrong`);
console.log(`of ${ofNetworks.cases} with operators of convolutional networks alone: ${ofNetworks.passed} passed`);
if (alsoElsewhere) console.log(`onnxruntime-node: ${counts.elsewhere} passed, ${ofNetworks.elsewhere} of these`);
process.exitCode = wrong.length > 0 ? 1 : 0;
