import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { type ErrorCode, loadStateDict } from '../../lib';
import { within } from '../../lib/errors';
import { withFile } from '../../lib/formats/files';
import { readSafetensors, serializeSafetensors, writeSafetensors } from '../../lib/formats/safetensors';
import { asNobody, beyondMemory, outcome, safetensorsFile, temporaryFolder } from '../support/formats';
import { expectRejection } from '../support/refusal';

const folder = temporaryFolder();
const at = (name: string) => path.join(folder, name);
const tensors = { weight: { data: Float32Array.of(1, 2), dims: [2] } };
const good = at('good.safetensors');
writeFileSync(good, serializeSafetensors(tensors));

async function expectGoodToWork(): Promise<void> {
  expect((await readSafetensors(good)).tensors).toEqual(tensors);
}

/** Files of these tests that this process has open. */
function openFiles(): string[] {
  const targets = readdirSync('/proc/self/fd').map((fd) => outcome(() => readlinkSync(`/proc/self/fd/${fd}`)));
  return targets
    .filter((target) => typeof target === 'string')
    .filter((target) => /^\/dev\/(zero|full)/.test(target) || target.startsWith(folder));
}

type Row = readonly [title: string, code: ErrorCode, message: string, make: () => unknown];

const unreadable: readonly Row[] = [
  ['no such file', 'ERR_INVALID_ARG', 'ENOENT (no such file or directory)', () => at('missing')],
  ['a folder', 'ERR_INVALID_ARG', 'received a folder', () => folder],
  ['a file as a folder', 'ERR_INVALID_ARG', 'ENOTDIR', () => path.join(good, 'x')],
  ['a named pipe that nobody writes', 'ERR_INVALID_ARG', 'a pipe or device', fifo],
  ['a device without end', 'ERR_INVALID_ARG', 'a pipe or device', () => '/dev/zero'],
  ['a device that is full', 'ERR_INVALID_ARG', 'a pipe or device', () => '/dev/full'],
  ['a link to a device', 'ERR_INVALID_ARG', 'a pipe or device', () => link('device', '/dev/zero')],
  ['a loop of links', 'ERR_INVALID_ARG', 'ELOOP', () => link('loop', at('loop'))],
  ['a name that is too long', 'ERR_INVALID_ARG', 'ENAMETOOLONG', () => at('x'.repeat(256))],
  ['a name with a line break', 'ERR_INVALID_ARG', '\\nb"', () => at('a\nb')],
  ['a name with a zero', 'ERR_INVALID_ARG', 'a path', () => at('a\0b')],
  ['an empty name', 'ERR_INVALID_ARG', 'received ""', () => ''],
  ['a number', 'ERR_INVALID_ARG', 'received 3', () => 3],
  ['nothing', 'ERR_INVALID_ARG', 'received undefined', () => undefined],
  ['an object', 'ERR_INVALID_ARG', 'an object', () => ({ toString: () => good })],
];

function fifo(): string {
  execFileSync('mkfifo', ['-m', '600', at('pipe')]);
  return at('pipe');
}

function link(name: string, target: string): string {
  symlinkSync(target, at(name));
  return at(name);
}

test.each([0, 5, 2 ** 21, 2 ** 21 + 1, 9 * 2 ** 20 + 3])(
  'reads of %i bytes, side by side where large',
  async (length) => {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 2_654_435_761) >>> 24);
    const file = at('bytes');
    writeFileSync(file, Buffer.concat([Buffer.from('head'), bytes, Buffer.from('tail')]));
    const [head, middle, tail] = await within('test', () =>
      withFile(file, async ({ read }) => {
        return [await read(4), await read(length), await read(4)];
      }),
    );
    expect([head, tail]).toEqual([Buffer.from('head'), Buffer.from('tail')].map((part) => Uint8Array.from(part)));
    expect(Buffer.compare(middle as Uint8Array, bytes)).toBe(0);
  },
);

describe('reading', () => {
  test.each(unreadable)('%s', async (_, code, message, make) => {
    const file = make() as string;
    await expectRejection(readSafetensors(file), code, message);
    await expectRejection(loadStateDict(file), code, message);
    await expectGoodToWork();
    expect(openFiles()).toEqual([]);
  });

  test('a socket', async () => {
    const server = createServer().listen(at('socket'));
    await expectRejection(readSafetensors(at('socket')), 'ERR_INVALID_ARG', 'ENXIO');
    server.close();
    await expectGoodToWork();
  });

  test('a file without permission', async () => {
    const file = at('secret');
    writeFileSync(file, 'x', { mode: 0 });
    chmodSync(folder, 0o755);
    await asNobody(() => expectRejection(readSafetensors(file), 'ERR_INVALID_ARG', 'EACCES (permission denied)'));
    await expectGoodToWork();
  });

  test.each([
    ['longer', (file: string) => appendFileSync(file, 'more')],
    ['shorter', (file: string) => truncateSync(file, 3)],
    ['empty', (file: string) => truncateSync(file, 0)],
    ['other, of the same length', (file: string) => utimesSync(file, 1, 1)],
  ])('a file that becomes %s meanwhile', async (_, change) => {
    const file = at('changing');
    writeFileSync(file, 'some bytes');
    const read = within('reading', () =>
      withFile(file, (input) => {
        change(file);
        return input.read(input.size);
      }),
    );
    await expectRejection(read, 'ERR_INVALID_STATE', 'one that has changed');
    await expectGoodToWork();
  });

  test('the cause tells the code of the system, and no path', async () => {
    const cause = await readSafetensors(at('missing')).catch((error: Error) => error.cause);
    expect(cause).toMatchObject({ code: 'ENOENT', message: 'ENOENT: no such file or directory' });
  });

  test('a file beyond the memory of the machine, or beyond the arrays of this Node', async () => {
    const file = at('sparse');
    const size = 2 ** 42;
    writeFileSync(file, safetensorsFile({ a: { dtype: 'U8', shape: [size], data_offsets: [0, size] } }, 0));
    truncateSync(file, statSync(file).size + size);
    await expectRejection(readSafetensors(file), ...beyondMemory);
    rmSync(file);
    await expectGoodToWork();
  });
});

describe('writing', () => {
  const unwritable: readonly Row[] = [
    ['a folder', 'ERR_INVALID_ARG', 'received a folder', () => folder],
    ['a device', 'ERR_INVALID_ARG', 'a pipe or device', () => '/dev/full'],
    ['a link to a device', 'ERR_INVALID_ARG', 'a pipe or device', () => link('null', '/dev/null')],
    ['a folder that is missing', 'ERR_INVALID_ARG', 'ENOENT', () => path.join(folder, 'none', 'x')],
    ['a file as a folder', 'ERR_INVALID_ARG', 'ENOTDIR', () => path.join(good, 'x')],
    ['a loop of links', 'ERR_INVALID_ARG', 'ELOOP', () => link('circle', at('circle'))],
    ['a name that is too long', 'ERR_INVALID_ARG', 'ENAMETOOLONG', () => at('y'.repeat(256))],
    ['a name with a zero', 'ERR_INVALID_ARG', 'a path', () => at('a\0b')],
    ['nothing', 'ERR_INVALID_ARG', 'received undefined', () => undefined],
  ];

  test.each(unwritable)('%s', async (_, code, message, make) => {
    const file = make() as string;
    const names = readdirSync(folder);
    await expectRejection(writeSafetensors(file, tensors), code, message);
    expect(readdirSync(folder)).toEqual(names);
    await expectGoodToWork();
    expect(openFiles()).toEqual([]);
  });

  test('a folder without permission', async () => {
    const closed = at('closed');
    mkdirSync(closed, { mode: 0o555 });
    const write = () => writeSafetensors(path.join(closed, 'x'), tensors);
    await asNobody(() => expectRejection(write(), 'ERR_INVALID_ARG', 'EACCES (permission denied)'));
    expect(readdirSync(closed)).toEqual([]);
    await expectGoodToWork();
  });
});
