// npm run check:allocation -- [last index] [operation...]: every operation with each of its allocations failing in turn. Linux.
//
// An addon is built whose allocations fail on demand: operator new, mapped memory, threads. For each index up to the last one
// (default 400), once alone and once with all that follow, an operation must end with ERR_OUT_OF_MEMORY or with its right
// result, and must give its right result when it is called again. Operations run in processes of their own, which must end by
// themselves, with as many allocations alive as before. Exit code 1 where one of this fails.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { allocationOperations } from './allocation-operations.mjs';

const self = fileURLToPath(import.meta.url);
const root = dirname(dirname(self));
const built = join(root, 'build-fail-allocations');
const home = join(built, 'package');
const addonFile = join(home, 'build', 'Release', 'qarepvgg.node');
const longest = 10_000; // ms of one call, which takes milliseconds

/** The package as in dist/, around the addon whose allocations fail. */
async function prepare() {
  const build = [join(root, 'scripts', 'build-native.mjs'), '--fail-allocations'];
  const [code] = await once(spawn(process.execPath, build, { stdio: 'inherit' }), 'exit');
  if (code !== 0) process.exit(1);
  rmSync(home, { recursive: true, force: true });
  mkdirSync(dirname(addonFile), { recursive: true });
  cpSync(join(built, 'Release', 'qarepvgg.node'), addonFile);
  cpSync(join(root, 'dist'), join(home, 'dist'), { recursive: true });
  cpSync(join(root, 'package.json'), join(home, 'package.json'));
}

/** What the work gives, or the code of its error. @param {Promise<unknown>} work @returns {Promise<string>} */
function outcome(work) {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve('never settled'), longest);
    const settle = (/** @type {string} */ text) => {
      clearTimeout(timer);
      resolve(text);
    };
    work.then(
      (value) => settle(`result ${value}`),
      (error) => settle(error.code ?? String(error)),
    );
  });
}

/** One operation at every index, in this process. @param {string} name @param {number} last */
async function allocationsOf(name, last) {
  const require = createRequire(self);
  const package_ = require(join(home, 'dist', 'qarepvgg.js'));
  const addon = require(addonFile);
  const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-allocation-'));
  const make = allocationOperations[name];
  if (!make) throw new Error(`expected one of ${Object.keys(allocationOperations).join(', ')}, received ${name}`);
  const operation = await make(package_, addon, folder);
  const faults = [];
  let indices = 0;
  const live = async () => {
    for (let i = 0; i < 3; i++) {
      globalThis.gc?.();
      await sleep(10);
    }
    return addon.liveAllocations();
  };
  for (let i = 0; i < 12; i++) await operation.call();
  const sweep = async () => {
    const before = await live();
    for (const forGood of [false, true]) {
      for (let index = 0; index <= last; index++) {
        addon.failAllocation(index, forGood);
        const first = await outcome(operation.call());
        const hasFailed = addon.allowAllocation();
        const where = `allocation ${index}${forGood ? ' and all behind it' : ''}`;
        if (first !== 'ERR_OUT_OF_MEMORY' || !hasFailed) {
          const expected = `result ${operation.expected()}`;
          if (first !== expected) faults.push(`${where}: ${first}, expected ${expected}`);
        }
        const again = await outcome(operation.call());
        const expected = `result ${operation.expected()}`;
        if (again !== expected) faults.push(`${where}, next call: ${again}, expected ${expected}`);
        if (!hasFailed) break;
        indices++;
      }
    }
    return (await live()) - before;
  };
  let left = await sweep();
  // Memory kept for the next run grows when more runs overlap than before, and then no more; a leak grows in every sweep.
  for (let sweeps = 0; left > 0 && sweeps < 3; sweeps++) left = await sweep();
  if (left > 0) faults.push(`${left} allocations left in each of 4 sweeps`);
  rmSync(folder, { recursive: true });
  console.log(JSON.stringify({ indices, left, faults }));
}

/** A node process; what it printed and how it ended. @param {string[]} args @param {NodeJS.ProcessEnv} env */
async function run(args, env = process.env) {
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const timer = setTimeout(() => child.kill('SIGKILL'), 120_000);
  const output = { stdout: '', stderr: '' };
  for (const name of /** @type {const} */ (['stdout', 'stderr'])) {
    child[name].on('data', (data) => {
      output[name] += data;
    });
  }
  const [code, signal] = await once(child, 'close');
  clearTimeout(timer);
  return { ...output, end: signal ?? code };
}

/** @param {string} name @param {number} last */
async function check(name, last) {
  const { stdout, stderr, end } = await run(['--expose-gc', self, '--operation', name, String(last)]);
  const { indices = 0, left = 0, faults = [] } = stdout ? JSON.parse(stdout) : {};
  if (end !== 0 || !stdout)
    faults.push(`the process ended with ${end}: ${stderr.trim().split('\n').slice(-5).join('\n')}`);
  report(name, `${indices} failures, ${left} allocations left`, faults);
}

/** The load of the addon, in a new process for each index. @param {number} last */
async function checkLoad(last) {
  const load = `
    try { require(${JSON.stringify(join(home, 'dist', 'qarepvgg.js'))}); console.log('loaded') }
    catch (error) { console.log(error.code) }`;
  const faults = [];
  let index = 0;
  for (; index <= last; index++) {
    const { stdout, end } = await run(['-e', load], { ...process.env, QAREPVGG_FAIL_ALLOCATION: String(index) });
    if (end !== 0 || !/^(loaded|ERR_ADDON_LOAD|ERR_OUT_OF_MEMORY)\n$/.test(stdout))
      faults.push(`allocation ${index}: ${stdout}${end}`);
    if (stdout === 'loaded\n') break;
  }
  report('addon', `${index} failures`, faults);
}

/** @param {string} name @param {string} figures @param {string[]} faults */
function report(name, figures, faults) {
  console.log(`${faults.length === 0 ? 'ok  ' : 'FAIL'} ${name}: ${figures}`);
  for (const fault of faults.slice(0, 8)) console.log(`       ${fault}`);
  if (faults.length > 8) console.log(`       and ${faults.length - 8} more`);
  if (faults.length > 0) process.exitCode = 1;
}

if (process.argv[2] === '--operation') {
  await allocationsOf(String(process.argv[3]), Number(process.argv[4]));
} else {
  const last = Number(process.argv[2] ?? 400);
  const known = ['addon', ...Object.keys(allocationOperations)];
  const names = process.argv.slice(3);
  if (!Number.isInteger(last) || !names.every((name) => known.includes(name))) {
    console.error(`usage: npm run check:allocation -- [last index] [operation...]\n\noperations: ${known.join(', ')}`);
    process.exit(2);
  }
  await prepare();
  for (const name of names.length > 0 ? names : known) {
    await (name === 'addon' ? checkLoad(last) : check(name, last));
  }
}
