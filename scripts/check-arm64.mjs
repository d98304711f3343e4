#!/usr/bin/env node
/**
 * Runs the network that comes with the package here and, emulated, in the package for arm64. Integers must give the same
 * bits, floats nearly the same numbers, on every instruction set; and each CPU must have the instruction sets it should.
 * A part of test-arm64.sh, which prepares what this needs.
 *
 *   node scripts/check-arm64.mjs PACKAGE NODE    the package's folder; a program that runs an emulated Node
 *
 * Ends with the line `N passed, N failed`.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { loadModel, quantize, randn, saveModel } = createRequire(import.meta.url)(root);

/** What CPUs of qemu have; the last one has all. */
const CPUS = {
  'cortex-a53': ['scalar', 'neon'],
  'neoverse-n1': ['scalar', 'neon', 'neondot'],
  max: ['scalar', 'neon', 'neondot', 'neoni8mm'],
};
/** As in docs/architecture.md: relative L2 difference of logits from floats. */
const TOLERANCE = 2e-5;

/** Runs model files on the same images; what it prints is a {@link Result}. */
const SCRIPT = `
  const { info, InferenceSession, randn } = require('.');
  (async () => {
    const logits = [];
    for (const file of process.argv.slice(1)) {
      const session = await InferenceSession.create(file);
      const output = await session.run({ input: randn([8, 1, 28, 28], { seed: 1 }) });
      logits.push([...output.logits.data]);
    }
    console.log(JSON.stringify({ isa: info().isa, isas: info().isas, logits }));
  })();
`;

/**
 * @typedef {object} Result
 * @property {string} isa
 * @property {string[]} isas
 * @property {number[][]} logits Of each model.
 */

/**
 * @param {string} node
 * @param {string} folder
 * @param {readonly string[]} models
 * @param {Record<string, string>} env
 * @returns {Result}
 */
function run(node, folder, models, env) {
  const options = { cwd: folder, env: { ...process.env, ...env }, encoding: /** @type {const} */ ('utf8') };
  const { stdout, stderr, status } = spawnSync(node, ['-e', SCRIPT, ...models], options);
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

/**
 * @param {readonly number[]} a
 * @param {readonly number[]} b
 */
function relativeL2(a, b) {
  const squares = a.reduce((sum, x, i) => sum + (x - (b[i] ?? Number.NaN)) ** 2, 0);
  return Math.sqrt(squares / b.reduce((sum, x) => sum + x * x, 0));
}

let passed = 0;
let failed = 0;
/**
 * @param {string} name
 * @param {() => string | undefined} check What is wrong, if anything is.
 */
function test(name, check) {
  let problem;
  try {
    problem = check();
  } catch (error) {
    problem = String(error);
  }
  if (problem === undefined) passed += 1;
  else failed += 1;
  console.log(problem === undefined ? `ok      ${name}` : `FAILED  ${name}: ${problem}`);
}

const [folder, node] = process.argv.slice(2);
if (!folder || !node) throw new Error('expected two arguments, PACKAGE and NODE');
const scratch = mkdtempSync(join(tmpdir(), 'qarepvgg-'));
try {
  const models = ['floats', 'integers'].map((name) => join(scratch, `${name}.safetensors`));
  const model = await loadModel(join(root, 'models', 'fashion-mnist.safetensors'));
  model.switchToDeploy();
  await saveModel(model, models[0]);
  const quantized = await quantize(model, [randn([64, 1, 28, 28], { seed: 2 })]);
  await saveModel(quantized.model, models[1]);
  const here = run(process.execPath, root, models, {});
  const [floats = [], integers = []] = here.logits;

  for (const [cpu, expected] of Object.entries(CPUS)) {
    test(`${cpu} has ${expected.join(', ')}`, () => {
      const { isas } = run(node, folder, [], { QEMU_CPU: cpu });
      return isas.join() === expected.join() ? undefined : `it has ${isas.join(', ')}`;
    });
  }
  test('an instruction set that the CPU lacks is refused', () => {
    try {
      return `runs on ${run(node, folder, [], { QEMU_CPU: 'cortex-a53', QAREPVGG_ISA: 'neondot' }).isa}`;
    } catch (error) {
      return String(error).includes('ERR_ISA') ? undefined : String(error);
    }
  });
  for (const isa of CPUS.max) {
    test(`${isa} gives the logits of ${here.isa}`, () => {
      const there = run(node, folder, models, { QEMU_CPU: 'max', QAREPVGG_ISA: isa });
      const difference = relativeL2(there.logits[0] ?? [], floats);
      if (there.isa !== isa) return `ran on ${there.isa}`;
      if (there.logits[1]?.join() !== integers.join()) return 'integers differ';
      return difference <= TOLERANCE ? undefined : `floats differ by ${difference} (relative L2)`;
    });
  }
} finally {
  rmSync(scratch, { recursive: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
