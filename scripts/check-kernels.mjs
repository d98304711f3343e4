#!/usr/bin/env node
/**
 * Static checks of the built addon (`npm run build:native` first): what the compiler and linker made of the kernels.
 * Prints a line per check with what it counted, and exits with 1 when one fails. Reads x86-64 ELF files with binutils.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { innerLoops, isMultiplyAdd, needsAvx, parseDisassembly, vectorSpills } from './disassembly.cjs';

const build = join(dirname(dirname(fileURLToPath(import.meta.url))), 'build');

/** Translation units that are compiled with instruction-set flags of their own. */
const PER_ISA = /_avx\w*\.cc\.o$/;
/** Problems printed per check. */
const SHOWN = 10;
const EXPORTS = ['napi_register_module_v1', 'node_api_module_get_api_version_v1'];

/**
 * @typedef {object} Outcome
 * @property {string} counted What was looked at and how much of it: a check that saw nothing proves nothing.
 * @property {string[]} problems
 */

/**
 * @param {string} tool
 * @param {readonly string[]} args
 */
const output = (tool, args) => execFileSync(tool, args, { encoding: 'utf8', maxBuffer: 1 << 30 });

/** @param {string} file */
const disassemble = (file) => parseDisassembly(output('objdump', ['-d', '-C', '-w', file]));

const objects = () =>
  readdirSync(build, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.cc.o'))
    .map((name) => join(build, name));

/**
 * @param {number} seen
 * @param {string} counted
 * @param {readonly string[]} problems
 * @returns {Outcome}
 */
const outcome = (seen, counted, problems) => ({
  counted,
  problems: seen === 0 ? [...problems, 'found nothing to check'] : [...problems],
});

/**
 * The innermost loops of the kernels never touch a vector register that was saved on the stack.
 * @param {readonly string[]} files
 * @returns {Outcome}
 */
function loopsDoNotSpill(files) {
  let loops = 0;
  const problems = [];
  for (const file of files) {
    for (const routine of disassemble(file)) {
      for (const loop of innerLoops(routine).filter((body) => body.some(isMultiplyAdd))) {
        loops += 1;
        for (const { address, mnemonic, operands } of vectorSpills(routine, loop)) {
          problems.push(`${basename(file)}: ${address.toString(16)}: ${mnemonic} ${operands} in ${routine.name}`);
        }
      }
    }
  }
  return outcome(loops, `${loops} inner loops with multiply-adds, ${problems.length} spills`, problems);
}

/**
 * A tile of MR rows by NV vectors has its MR * NV accumulators in registers: one loop holds that many multiply-adds.
 * @param {readonly string[]} files
 * @returns {Outcome}
 */
function tilesAreUnrolled(files) {
  let tiles = 0;
  const problems = [];
  for (const file of files) {
    for (const routine of disassemble(file)) {
      const size = /_tile<(\d+), (\d+)[^>]*>\([^)]*\)$/.exec(routine.name);
      if (!size) continue;
      tiles += 1;
      const expected = Number(size[1]) * Number(size[2]);
      const found = Math.max(0, ...innerLoops(routine).map((loop) => loop.filter(isMultiplyAdd).length));
      if (found < expected) {
        problems.push(
          `${basename(file)}: ${routine.name}: expected ${expected} multiply-adds in one loop, found ${found}`,
        );
      }
    }
  }
  return outcome(tiles, `${tiles} tiles, ${tiles - problems.length} of them`, problems);
}

/**
 * Code outside the per-ISA files runs on every x86-64.
 * @param {readonly string[]} files
 * @returns {Outcome}
 */
function baselineStaysBaseline(files) {
  let instructions = 0;
  const problems = [];
  for (const file of files) {
    for (const routine of disassemble(file)) {
      instructions += routine.instructions.length;
      const avx = routine.instructions.find(needsAvx);
      if (avx) problems.push(`${basename(file)}: ${avx.mnemonic} ${avx.operands} in ${routine.name}`);
    }
  }
  const counted = `${files.length} object files, ${instructions} instructions, ${problems.length} functions with AVX`;
  return outcome(instructions, counted, problems);
}

/**
 * Of a function that several object files define, the linker keeps any one: none of these may come from a per-ISA file.
 * @param {readonly string[]} files
 * @returns {Outcome}
 */
function isaFilesShareNothing(files) {
  let symbols = 0;
  const problems = [];
  for (const file of files) {
    for (const line of output('nm', ['-C', '--defined-only', file]).split('\n')) {
      const [, kind, name] = /^[0-9a-f]+ (\S) (.*)$/.exec(line) ?? [];
      if (kind === undefined) continue;
      symbols += 1;
      if (/[wvu]/i.test(kind)) problems.push(`${basename(file)}: ${name} is ${kind}`);
    }
  }
  return outcome(symbols, `${files.length} object files, ${symbols} symbols, ${problems.length} shared`, problems);
}

/**
 * The addon stays loaded, finds a library beside it, exports its entry points only and leaves the floating-point
 * environment of the process alone (the start-up object of -ffast-math would load MXCSR).
 * @param {string} addon
 * @returns {Outcome}
 */
function addonIsLinkedAsMeant(addon) {
  const dynamic = output('readelf', ['-d', '-W', addon]);
  const exported = output('nm', ['-D', '--defined-only', '--format=just-symbols', addon]).trim().split('\n').sort();
  const problems = [];
  if (!/FLAGS_1.*\bNODELETE\b/.test(dynamic)) problems.push('NODELETE is not set');
  if (!dynamic.includes('[$ORIGIN]')) problems.push('RUNPATH is not $ORIGIN');
  if (exported.join() !== EXPORTS.join()) problems.push(`exports ${exported.join(', ')}`);
  const writesMxcsr = disassemble(addon).filter(({ instructions }) =>
    instructions.some((i) => /ldmxcsr$/.test(i.mnemonic)),
  );
  problems.push(...writesMxcsr.map(({ name }) => `${name} writes MXCSR`));
  return outcome(1, `${basename(addon)}, ${exported.length} exports`, problems);
}

function main() {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    console.log(`check:kernels: not applicable on ${process.platform}-${process.arch}`);
    return;
  }
  const addon = join(build, 'Release', 'qarepvgg.node');
  if (!existsSync(addon)) throw new Error(`expected ${addon}: run \`npm run build:native\` first`);
  const all = objects();
  const perIsa = all.filter((file) => PER_ISA.test(file));
  /** @type {Record<string, Outcome>} */
  const outcomes = {
    'no vector spills': loopsDoNotSpill(perIsa),
    'tiles in registers': tilesAreUnrolled(perIsa),
    'no AVX in baseline code': baselineStaysBaseline(all.filter((file) => !perIsa.includes(file))),
    'no shared symbols in per-ISA code': isaFilesShareNothing(perIsa),
    'addon linked as meant': addonIsLinkedAsMeant(addon),
  };
  for (const [name, { counted, problems }] of Object.entries(outcomes)) {
    console.log(`${problems.length === 0 ? 'ok  ' : 'FAIL'} ${name}: ${counted}`);
    for (const problem of problems.slice(0, SHOWN)) console.log(`       ${problem}`);
    if (problems.length > SHOWN) console.log(`       and ${problems.length - SHOWN} more`);
    if (problems.length > 0) process.exitCode = 1;
  }
}

main();
