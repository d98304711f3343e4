#!/usr/bin/env node
/**
 * Static checks of the built addon (`npm run build:native` first): what the compiler and linker made of the kernels.
 * Prints a line per check with what it counted, and exits with 1 when one fails. Reads ELF files with binutils.
 *
 *   --arch arm64    of the addon that build-native.mjs built with this option
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  innerLoops,
  isMultiplyAdd,
  needsAvx,
  needsDot,
  parseDisassembly,
  vectorSpills,
  writesFloatControl,
} from './disassembly.cjs';
import { linkProblems, parseLibrary } from './release/elf.cjs';

const { values } = parseArgs({ options: { arch: { type: 'string', default: process.arch } } });
const { arch } = values;
const foreign = arch !== process.arch;
const build = join(dirname(dirname(fileURLToPath(import.meta.url))), foreign ? `build-${arch}` : 'build');

/**
 * @typedef {object} Architecture
 * @property {RegExp} kernels Object files of kernels that are tuned for an instruction set.
 * @property {RegExp} perIsa Those that are compiled with flags for instructions that not every CPU has.
 * @property {(instruction: import('./disassembly.cjs').Instruction) => boolean} beyond Such instructions.
 * @property {string} extension What these are called.
 * @property {string} binutils Prefix of the tools' names on a machine of another architecture.
 */
/** @type {Record<string, Architecture>} */
const ARCHITECTURES = {
  x64: {
    kernels: /[/_]avx\w*\.cc\.o$/,
    perIsa: /[/_]avx\w*\.cc\.o$/,
    beyond: needsAvx,
    extension: 'AVX',
    binutils: 'x86_64-linux-gnu-',
  },
  arm64: {
    kernels: /[/_]neon\w*\.cc\.o$/,
    perIsa: /[/_]neon\w+\.cc\.o$/,
    beyond: needsDot,
    extension: 'dot products',
    binutils: 'aarch64-linux-gnu-',
  },
};
/** Problems printed per check. */
const SHOWN = 10;

/**
 * @typedef {object} Outcome
 * @property {string} counted What was looked at and how much of it: a check that saw nothing proves nothing.
 * @property {string[]} problems
 */

/**
 * @param {string} tool
 * @param {readonly string[]} args
 */
const output = (tool, args) => {
  const prefix = (foreign && ARCHITECTURES[arch]?.binutils) || '';
  return execFileSync(prefix + tool, args, { encoding: 'utf8', maxBuffer: 1 << 30 });
};

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
 * Code outside the per-ISA files runs on every CPU of the architecture.
 * @param {readonly string[]} files
 * @param {Architecture} architecture
 * @returns {Outcome}
 */
function baselineStaysBaseline(files, { beyond, extension }) {
  let instructions = 0;
  const problems = [];
  for (const file of files) {
    for (const routine of disassemble(file)) {
      instructions += routine.instructions.length;
      const found = routine.instructions.find(beyond);
      if (found) problems.push(`${basename(file)}: ${found.mnemonic} ${found.operands} in ${routine.name}`);
    }
  }
  const counted = `${files.length} object files, ${instructions} instructions`;
  return outcome(instructions, `${counted}, ${problems.length} functions with ${extension}`, problems);
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
 * environment of the process alone (the start-up object of -ffast-math would load MXCSR, or FPCR).
 * @param {string} addon
 * @returns {Outcome}
 */
function addonIsLinkedAsMeant(addon) {
  const library = parseLibrary(output('readelf', ['-d', '-W', '--dyn-syms', addon]));
  const problems = linkProblems(library);
  const writers = disassemble(addon).filter(({ instructions }) => instructions.some(writesFloatControl));
  problems.push(...writers.map(({ name }) => `${name} writes MXCSR or FPCR`));
  return outcome(1, `${basename(addon)}, ${library.exported.length} exports`, problems);
}

function main() {
  const architecture = ARCHITECTURES[arch];
  if (process.platform !== 'linux' || !architecture) {
    console.log(`check:kernels: not applicable on ${process.platform}-${arch}`);
    return;
  }
  const addon = join(build, 'Release', 'qarepvgg.node');
  if (!existsSync(addon))
    throw new Error(`expected ${addon}: run \`npm run build:native${foreign ? ` -- --arch ${arch}` : ''}\` first`);
  const all = objects();
  const kernels = all.filter((file) => architecture.kernels.test(file));
  const perIsa = all.filter((file) => architecture.perIsa.test(file));
  /** @type {Record<string, Outcome>} */
  const outcomes = {
    // Elementwise functions have more constants than there are registers, and no accumulators.
    'no vector spills': loopsDoNotSpill(kernels.filter((file) => !file.includes('kernel_tensor_'))),
    'tiles in registers': tilesAreUnrolled(kernels),
    [`no ${architecture.extension} in baseline code`]: baselineStaysBaseline(
      all.filter((file) => !perIsa.includes(file)),
      architecture,
    ),
    'no shared symbols in per-ISA code': isaFilesShareNothing(kernels),
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
