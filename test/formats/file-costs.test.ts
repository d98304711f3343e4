import { truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { loadModel, loadStateDict } from '../../lib';
import { within } from '../../lib/errors';
import type { RawTensor } from '../../lib/formats/dtypes';
import { tensorsToFloat32 } from '../../lib/formats/float32';
import { decodeFile } from '../../lib/formats/onnx/file';
import { readGraph } from '../../lib/formats/onnx/reader/graph';
import { readTensor } from '../../lib/formats/onnx/reader/tensors';
import { type TensorFields, tensor as tensorFields } from '../../lib/formats/onnx/schema';
import { decode, encode, many } from '../../lib/formats/onnx/wire';
import { torchSteps } from '../../lib/formats/torch';
import { optimize } from '../../lib/graph/passes';
import { atOnce, inSlices, type Steps } from '../../lib/slices';
import { runScript } from '../support/child';
import { beyondMemory, safetensorsFile, temporaryFolder } from '../support/formats';
import { onnxFile } from '../support/onnx-files';
import { expectRefusal, expectRejection } from '../support/refusal';
import { type Opcode, pickle, storage, tensor, text, torchFile } from '../support/torch-archive';

const folder = temporaryFolder();

function save(name: string, bytes: Uint8Array): string {
  writeFileSync(path.join(folder, name), bytes);
  return path.join(folder, name);
}

/** The pauses that work makes. */
function pauses(steps: Steps<unknown>): number {
  let count = 0;
  while (!steps.next().done) count++;
  return count;
}

/** 2,000 tensors of nearly the whole storage each. */
function overlapping(type: string, count: number, bytes: number, strided = false): Buffer {
  const members = Array.from({ length: 2000 }, (_, i): Opcode[] => {
    const elements = storage(type, '0', count);
    const whole = strided ? tensor(elements, 0, [2, count / 2], [1, 2]) : tensor(elements, i, [count - 2000], [1]);
    return [text(`t${i}`), ...whole];
  });
  return torchFile(pickle('}(', ...members.flat(), 'u'), { 0: Buffer.alloc(count * bytes) });
}

const mebi = 2 ** 20;

/** Small files that once took gigabytes, or that ask for them. */
const greedy: Readonly<Record<string, () => Uint8Array>> = {
  'dicts.pt': () => torchFile(pickle(']', `(${'}'.repeat(999)}e`.repeat(8 * 2 ** 10))),
  'memo.pt': () => torchFile(pickle('N', Buffer.concat(Array.from({ length: 2 ** 20 }, (_, i) => memoized(i))))),
  'views.pt': () => overlapping('HalfStorage', 100_000, 2),
  'bytes.pt': () => overlapping('ByteStorage', 100_000, 1),
  'strided.pt': () => overlapping('FloatStorage', 100_000, 4, true),
  'expanded.pt': () =>
    torchFile(pickle(...tensor(storage('ByteStorage', '0', 1), 0, [2 ** 31], [0])), { 0: Buffer.alloc(1) }),
  'half.safetensors': () =>
    safetensorsFile({ a: { dtype: 'F16', shape: [8 * mebi], data_offsets: [0, 16 * mebi] } }, 16 * mebi),
  'notes.safetensors': () =>
    safetensorsFile({ __metadata__: Object.fromEntries(Array.from({ length: 2 ** 18 }, (_, i) => [`${i}`, ''])) }, 0),
};

function memoized(index: number): Buffer {
  const opcode = Buffer.alloc(5, 'r');
  opcode.writeUInt32LE(index, 1);
  return opcode;
}

describe('a file of n bytes costs at most 20 n + 64 MiB of memory', () => {
  test.each(Object.keys(greedy))('%s', (name) => {
    const bytes = greedy[name]?.() as Uint8Array;
    const file = save(name, bytes);
    const { stdout, stderr } = runScript(`
      const { loadStateDict } = require('.');
      const before = process.resourceUsage().maxRSS;
      const report = () => console.log(process.resourceUsage().maxRSS - before);
      loadStateDict(${JSON.stringify(file)}).then(report, (error) => { if (!error.code?.startsWith('ERR_')) throw error; report(); });`);
    expect(stderr).toBe('');
    expect(Number(stdout) * 1024).toBeLessThan(20 * bytes.length + 64 * mebi);
  });
});

describe('work is done in slices', () => {
  test('conversions pause once for each million of numbers', () => {
    for (const dtype of ['F16', 'BF16', 'I64', 'F64', 'U8'] as const) {
      const data = { F16: Uint16Array, BF16: Uint16Array, I64: BigInt64Array, F64: Float64Array, U8: Uint8Array }[
        dtype
      ];
      const big = { dtype, data: new data(4 * mebi), dims: [4 * mebi] } as RawTensor;
      expect(within('test', () => pauses(tensorsToFloat32([['big', big]])))).toBeGreaterThanOrEqual(4);
    }
  });

  test('pickles pause after some opcodes, checksums and copies after some megabytes', () => {
    const many = torchFile(pickle(']', '(NNNe'.repeat(20_000)));
    expect(within('test', () => pauses(torchSteps(many)))).toBeGreaterThan(100);
    const transposed = torchFile(pickle(...tensor(storage('FloatStorage', '0', mebi), 0, [2, mebi / 2], [1, 2])), {
      0: Buffer.alloc(4 * mebi),
    });
    expect(within('test', () => pauses(torchSteps(transposed)))).toBeGreaterThanOrEqual(4);
  });

  test('ONNX files pause while they are decoded, while tensors are converted, and while a graph is compiled', () => {
    const count = 10_000;
    const chain = Array.from({ length: count }, (_, i) => ['Relu', [`v${i}`], [`v${i + 1}`]] as const);
    const outputs = [`v${count}`];
    const file = within('test', () => atOnce(decodeFile(onnxFile({ inputs: { v0: [1] }, outputs, nodes: chain }))));
    expect(
      within('test', () => pauses(decodeFile(onnxFile({ inputs: { v0: [1] }, outputs, nodes: chain })))),
    ).toBeGreaterThanOrEqual(9);
    expect(within('test', () => pauses(readGraph(file, () => undefined)))).toBeGreaterThanOrEqual(9);
    const { graph } = within('test', () => atOnce(readGraph(file, () => undefined)));
    expect(within('test', () => pauses(optimize(graph, new Map([['v0', [1]]]))))).toBeGreaterThan(count);
    const unknown = Buffer.concat(Array<Buffer>(100_000).fill(Buffer.from([0xc0, 0x0c, 1])));
    expect(within('test', () => pauses(decodeFile(unknown)))).toBeGreaterThanOrEqual(24);
  });

  test.each([
    ['half precision', 10, { rawData: new Uint8Array(8 * mebi) }, 4 * mebi, 4],
    ['numbers that are not aligned', 1, { rawData: new Uint8Array(16 * mebi + 1).subarray(1) }, 4 * mebi, 3],
    ['integers of 16 bits', 5, { rawData: new Uint8Array(8 * mebi) }, 4 * mebi, 3],
    ['a list of integers', 7, { longs: new Uint8Array(mebi) }, mebi, 60],
  ])('tensors of %s', (_, dataType, data, count, least) => {
    const [tensor] = decode(
      { tensors: many(1, tensorFields) },
      encode({ tensors: many(1, tensorFields) }, { tensors: [{ dims: [count], dataType }] }),
    ).tensors;
    expect(
      within('test', () => pauses(readTensor({ ...(tensor as TensorFields), ...data }, () => undefined))),
    ).toBeGreaterThanOrEqual(least);
  });

  /** How often the event loop turns during the work. */
  async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
    let turns = 0;
    let done = false;
    const turn = (): void => {
      turns++;
      if (!done) setImmediate(turn);
    };
    setImmediate(turn);
    await work();
    done = true;
    return turns;
  }

  function* busy(steps: number, milliseconds: number): Steps<string> {
    for (let step = 0; step < steps; step++) {
      for (const start = performance.now(); performance.now() - start < milliseconds; );
      yield;
    }
    return 'done';
  }

  test('the event loop turns between slices', async () => {
    // Each step takes longer than a slice.
    const turns = await turnsDuring(async () => expect(await inSlices(busy(5, 11))).toBe('done'));
    expect(turns).toBeGreaterThanOrEqual(4);
  });

  test('work that follows other work continues its slice', async () => {
    const turns = await turnsDuring(async () => {
      for (let i = 0; i < 20; i++) await inSlices(busy(1, 4));
    });
    expect(turns).toBeGreaterThanOrEqual(4);
  });
});

test('tensors that are the same memory are converted once; overlaps are limited', () => {
  const data = new Uint16Array(6 * mebi);
  const same = { dtype: 'F16', data, dims: [data.length] } as RawTensor;
  const both = atOnce(
    within('test', () =>
      tensorsToFloat32([
        ['a', same],
        ['b', { ...same }],
      ]),
    ),
  );
  expect(both.a?.data).toBe(both.b?.data);
  const shifted = Array.from({ length: 10 }, (_, i): [string, RawTensor] => {
    const part = data.subarray(i + 1);
    return [`${i}`, { dtype: 'F16', data: part, dims: [part.length] }];
  });
  expectRefusal(
    () => within('test', () => atOnce(tensorsToFloat32(shifted))),
    'ERR_LIMIT',
    'tensors that rarely overlap',
  );
});

test('files beyond what Node can address are refused with an error of this package', async () => {
  const bytes = 2 ** 42;
  const header = { a: { dtype: 'F32', shape: [bytes / 4], data_offsets: [0, bytes] } };
  const file = save('large.safetensors', safetensorsFile(header, 0));
  const archive = save('large.pt', Buffer.from('PK\x03\x04'));
  for (const name of [file, archive])
    truncateSync(name, bytes + (name === file ? safetensorsFile(header, 0).length : 0));
  await expectRejection(loadStateDict(file), ...beyondMemory);
  await expectRejection(loadModel(file), ...beyondMemory);
  await expectRejection(loadStateDict(archive), ...beyondMemory);
});
