/**
 * Reads what `objdump -d -C -w` prints (x86-64 in AT&T syntax, or arm64) and answers what check-kernels.mjs asks of it.
 * CommonJS, so that jest can load it as it is.
 *
 * @typedef {object} Instruction
 * @property {number} address
 * @property {string} bytes Machine code, hexadecimal, separated by blanks: x86-64 by bytes, arm64 by words.
 * @property {string} mnemonic
 * @property {string} operands
 *
 * @typedef {object} Routine A function, or the part of one that the compiler moved elsewhere.
 * @property {string} name Demangled.
 * @property {Instruction[]} instructions
 */

const HEADER = /^[0-9a-f]+ <(.*)>:$/;
// `{vex}` and the like, which choose between two encodings, are no part of the mnemonic.
const INSTRUCTION = /^\s*([0-9a-f]+):\t((?:[0-9a-f]{2} |[0-9a-f]{8} )+)\s*\t(?:\{\w+\} )?(\S+)\s*(.*)$/;
const JUMP = /^(?:j.*|b|b\..*|[ct]bn?z)$/;

/**
 * @param {string} text
 * @returns {Routine[]}
 */
function parseDisassembly(text) {
  /** @type {Routine[]} */
  const routines = [];
  for (const line of text.split('\n')) {
    const header = HEADER.exec(line);
    if (header) routines.push({ name: header[1] ?? '', instructions: [] });
    const [, address = '', bytes = '', mnemonic = '', operands = ''] = INSTRUCTION.exec(line) ?? [];
    if (address)
      routines.at(-1)?.instructions.push({ address: Number.parseInt(address, 16), bytes, mnemonic, operands });
  }
  return routines;
}

/**
 * Loops of a routine that hold no other loop. A loop is what lies between a jump backwards and its target.
 * @param {Routine} routine
 * @returns {Instruction[][]}
 */
function innerLoops({ instructions }) {
  const first = instructions[0]?.address ?? 0;
  /** @type {Map<number, number>} start of each loop to its last instruction; a `continue` makes no second loop */
  const loops = new Map();
  for (const { address, mnemonic, operands } of instructions) {
    const target = JUMP.test(mnemonic) ? Number.parseInt(/\b[0-9a-f]+(?= <)/.exec(operands)?.[0] ?? '', 16) : NaN;
    if (target >= first && target <= address) loops.set(target, Math.max(address, loops.get(target) ?? 0));
  }
  const ranges = [...loops];
  return ranges
    .filter(([start, end]) => !ranges.some(([from, to]) => from >= start && to <= end && (from > start || to < end)))
    .map(([start, end]) => instructions.filter(({ address }) => address >= start && address <= end));
}

/**
 * Multiply-adds of floats, bytes and 16-bit words.
 * @param {Instruction} instruction
 */
const isMultiplyAdd = ({ mnemonic }) =>
  /^(?:v(?:fn?m(?:add|sub)|pdpbusd|pdpwssd|pmaddwd)|fmla$|smlal2?$|sdot$|sudot$)/.test(mnemonic);

/**
 * Vector registers that the routine keeps in its stack frame and moves inside `loop`.
 * @param {Routine} routine
 * @param {Instruction[]} loop
 */
function vectorSpills(routine, loop) {
  // Without a frame set up, %rbp is a register like any other.
  const framed = routine.instructions.some((i) => i.mnemonic === 'mov' && i.operands === '%rsp,%rbp');
  const frame = framed ? /\(%r[sb]p\b|\[(?:sp|x29)\b/ : /\(%rsp\b|\[(?:sp|x29)\b/;
  return loop.filter(({ operands }) => frame.test(operands) && /%[xyz]mm|\b[vqds]\d/.test(operands));
}

/**
 * Whether only a CPU with AVX or a later extension can run it: in 64-bit code exactly the VEX and EVEX prefixes say so.
 * @param {Instruction} instruction
 */
const needsAvx = ({ bytes }) => /^(?:(?:26|2e|36|3e|64|65|67) )*(?:c4|c5|62) /.test(bytes);

/**
 * Whether only an ARM CPU with the dot products of ARMv8.2, or with the matrix products of bytes, can run it.
 * @param {Instruction} instruction
 */
const needsDot = ({ mnemonic }) => /^(?:[su]|us|su)(?:dot|mmla)$/.test(mnemonic);

/**
 * Writes the control register of floating-point arithmetic.
 * @param {Instruction} instruction
 */
const writesFloatControl = ({ mnemonic, operands }) =>
  /ldmxcsr$/.test(mnemonic) || (mnemonic === 'msr' && operands.startsWith('fpcr'));

module.exports = {
  parseDisassembly,
  innerLoops,
  isMultiplyAdd,
  vectorSpills,
  needsAvx,
  needsDot,
  writesFloatControl,
};
