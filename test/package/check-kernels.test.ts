import {
  innerLoops,
  isMultiplyAdd,
  needsAvx,
  needsDot,
  parseDisassembly,
  vectorSpills,
  writesFloatControl,
} from '../../scripts/disassembly.cjs';

// What `objdump -d -C -w` prints: `tile` has two nested loops, of which the inner one moves %ymm3 through its stack
// frame; `baseline` has no frame, so that its %rbp is an ordinary pointer.
const SAMPLE = `
fp32_sample.cc.o:     file format elf64-x86-64


Disassembly of section .text:

0000000000000000 <qarepvgg::(anonymous namespace)::tile<1, 2>(qarepvgg::ConvTile const&)>:
   0:\t55                   \tpush   %rbp
   1:\t48 89 e5             \tmov    %rsp,%rbp
   4:\t31 c0                \txor    %eax,%eax
   6:\tc5 fc 10 07          \tvmovups (%rdi),%ymm0
   a:\tc5 fc 11 5d e0       \tvmovups %ymm3,-0x20(%rbp)
   f:\tc4 e2 7d 18 0e       \tvbroadcastss (%rsi),%ymm1
  14:\tc4 e2 75 b8 d0       \tvfmadd231ps %ymm0,%ymm1,%ymm2
  19:\tc4 e2 75 b8 5d e0    \tvfmadd231ps -0x20(%rbp),%ymm1,%ymm3
  1f:\t48 8b 4d f8          \tmov    -0x8(%rbp),%rcx
  23:\t75 ea                \tjne    f <qarepvgg::(anonymous namespace)::tile<1, 2>(qarepvgg::ConvTile const&)+0xf>
  25:\t75 df                \tjne    6 <qarepvgg::(anonymous namespace)::tile<1, 2>(qarepvgg::ConvTile const&)+0x6>
  27:\t74 01                \tje     2a <qarepvgg::(anonymous namespace)::tile<1, 2>(qarepvgg::ConvTile const&)+0x2a>
  29:\tc3                   \tret
  2a:\tc3                   \tret

0000000000000030 <baseline>:
  30:\tf3 0f 10 45 00       \tmovss  0x0(%rbp),%xmm0
  35:\t66 0f 6f 04 24       \tmovdqa (%rsp),%xmm0
  3a:\teb f4                \tjmp    30 <baseline>
  3c:\tff e0                \tjmp    *%rax
  3e:\t64 62 f1 7c 48 10 00 \tvmovups %fs:(%rax),%zmm0
`;

const routines = parseDisassembly(SAMPLE);
const [tile, baseline] = routines;
if (!tile || !baseline) throw new Error('expected two routines');

test('every routine is read, with its name and instructions', () => {
  expect(routines).toHaveLength(2);
  expect(tile.name).toBe('qarepvgg::(anonymous namespace)::tile<1, 2>(qarepvgg::ConvTile const&)');
  expect(tile.instructions).toHaveLength(14);
  expect(tile.instructions[3]).toEqual({
    address: 6,
    bytes: 'c5 fc 10 07 ',
    mnemonic: 'vmovups',
    operands: '(%rdi),%ymm0',
  });
});

test('only loops without a loop inside count, jumps forward make none', () => {
  const addresses = innerLoops(tile).map((loop) => loop.map(({ address }) => address));
  expect(addresses).toEqual([[0xf, 0x14, 0x19, 0x1f, 0x23]]);
  expect(innerLoops(baseline).map((loop) => loop.length)).toEqual([3]);
});

test('a second jump back to the start of a loop is part of that loop', () => {
  const twice = SAMPLE.replace('jne    6 <', 'jne    f <');
  expect(innerLoops(parseDisassembly(twice)[0] ?? tile).map((loop) => loop.length)).toEqual([6]);
});

test('multiply-adds of integers are recognised, also behind a choice of encoding', () => {
  const [{ instructions } = tile] = parseDisassembly(`
0000000000000000 <integers>:
   0:\tc4 e2 75 50 c2       \t{vex} vpdpbusd %ymm2,%ymm1,%ymm0
   5:\t62 92 0d 40 52 c4    \tvpdpwssd %zmm28,%zmm30,%zmm0
   b:\tc5 f5 f5 c2          \tvpmaddwd %ymm2,%ymm1,%ymm0
   f:\tc5 f5 fe c2          \tvpaddd %ymm2,%ymm1,%ymm0
`);
  expect(instructions.map(isMultiplyAdd)).toEqual([true, true, true, false]);
});

test('fused multiply-adds are recognised', () => {
  expect(tile.instructions.filter(isMultiplyAdd).map(({ address }) => address)).toEqual([0x14, 0x19]);
});

test('a spill is a vector register moved through the stack frame, inside the loop', () => {
  const [loop = []] = innerLoops(tile);
  expect(vectorSpills(tile, loop).map(({ address }) => address)).toEqual([0x19]);
});

test('without a frame pointer only %rsp is the stack', () => {
  const [loop = []] = innerLoops(baseline);
  expect(vectorSpills(baseline, loop).map(({ address }) => address)).toEqual([0x35]);
});

test('VEX and EVEX prefixes are told from SSE, behind a segment prefix too', () => {
  expect(tile.instructions.filter(needsAvx)).toHaveLength(5);
  expect(baseline.instructions.filter(needsAvx).map(({ address }) => address)).toEqual([0x3e]);
});

test('only what loads the control register of floats writes it', () => {
  const [{ instructions } = tile] = parseDisassembly(`
0000000000000000 <controls>:
   0:\t0f ae 14 24          \tldmxcsr (%rsp)
   4:\t0f ae 1c 24          \tstmxcsr (%rsp)
   8:\td51b4400 \tmsr\tfpcr, x0
   c:\td53b4400 \tmrs\tx0, fpcr
`);
  expect(instructions.map(writesFloatControl)).toEqual([true, false, true, false]);
});

describe('of arm64', () => {
  const [arm = tile] = parseDisassembly(`
0000000000000000 <qarepvgg::(anonymous namespace)::tile<1, 2>(qarepvgg::ConvTile const&)>:
   0:\ta9be7bfd \tstp\tx29, x30, [sp, #-32]!
   4:\tbc647803 \tldr\ts3, [x0, x4, lsl #2]
   8:\t3dc007e4 \tldr\tq4, [sp, #16]
   c:\t4f831044 \tfmla\tv4.4s, v2.4s, v3.s[0]
  10:\t4f80e064 \tsdot\tv4.4s, v3.16b, v0.4b[0]
  14:\t0f432045 \tsmlal\tv5.4s, v2.4h, v3.h[0]
  18:\t4f0ff085 \tsudot\tv5.4s, v4.16b, v15.4b[0]
  1c:\tf9400be1 \tldr\tx1, [sp, #16]
  20:\t54ffff21 \tb.ne\t4 <qarepvgg::(anonymous namespace)::tile<1, 2>(qarepvgg::ConvTile const&)+0x4>  // b.any
  24:\tb40000c1 \tcbz\tx1, 0 <qarepvgg::(anonymous namespace)::tile<1, 2>(qarepvgg::ConvTile const&)>
  28:\t94000000 \tbl\t0 <qarepvgg::(anonymous namespace)::tile<1, 2>(qarepvgg::ConvTile const&)>
  2c:\td65f03c0 \tret
`);
  const [loop = []] = innerLoops(arm);

  test('words are read', () => {
    expect(arm.instructions).toHaveLength(12);
    expect(arm.instructions[1]).toEqual({
      address: 4,
      bytes: 'bc647803 ',
      mnemonic: 'ldr',
      operands: 's3, [x0, x4, lsl #2]',
    });
  });

  test('branches make loops, calls do not', () => {
    expect(loop.map(({ address }) => address)).toEqual([0x4, 0x8, 0xc, 0x10, 0x14, 0x18, 0x1c, 0x20]);
  });

  test('multiply-adds, spills and instructions beyond the baseline are recognised', () => {
    expect(loop.filter(isMultiplyAdd).map(({ address }) => address)).toEqual([0xc, 0x10, 0x14, 0x18]);
    expect(vectorSpills(arm, loop).map(({ address }) => address)).toEqual([0x8]);
    expect(loop.filter(needsDot).map(({ mnemonic }) => mnemonic)).toEqual(['sdot', 'sudot']);
  });
});
