import { within } from '../../lib/errors';
import { readNetpbm, readNetpbmHeader } from '../../lib/vision/netpbm';
import { expectRefusal } from '../support/refusal';

function file(header: string, ...pixels: number[]): Uint8Array {
  return Buffer.concat([Buffer.from(header, 'latin1'), Buffer.from(pixels)]);
}

function read(bytes: Uint8Array) {
  return within('image', () =>
    readNetpbm(
      bytes,
      within('image', () => readNetpbmHeader(bytes)),
      undefined,
    ),
  );
}

test.each(['P6\n2 1\n255\n', 'P6 2 1 255 ', 'P6\n# a comment\n2\n#\n1\n# more\n255\n'])('reads %j', async (header) => {
  const { data, ...shape } = await read(file(header, 255, 0, 51, 102, 255, 0));
  expect(shape).toEqual({ height: 1, width: 2, channels: 3 });
  expect([...data]).toEqual([255, 0, 51, 102, 255, 0]);
});

test('grey', async () => {
  const { data, channels } = await read(file('P5\n3 1\n255\n', 1, 2, 3));
  expect([channels, ...data]).toEqual([1, 1, 2, 3]);
});

test.each([
  ['four grey levels', file('P5 4 1 3 ', 0, 1, 2, 3), [0, 85, 170, 255]],
  ['a value above white', file('P5 2 1 100 ', 50, 101), [128, 255]],
  ['16 bits', file('P6 1 1 65535 ', 0xff, 0xff, 0x12, 0x34, 0, 0x80), [255, 18, 0]],
])('white is 255: %s', async (_, bytes, pixels) => {
  expect([...(await read(bytes)).data]).toEqual(pixels);
});

test('pixels may look like white space, and more may follow them', async () => {
  expect([...(await read(file('P6\n1 1\n255\n', 10, 32, 13))).data]).toEqual([10, 32, 13]);
  expect([...(await read(file('P6\n1 1\n255\n', 1, 2, 3, 10))).data]).toEqual([1, 2, 3]);
});

test('a picture of 20 million pixels costs no copy', async () => {
  const bytes = Buffer.concat([Buffer.from('P6 5000 4000 255 '), Buffer.alloc(60e6)]);
  expect((await read(bytes)).data.buffer).toBe(bytes.buffer);
});

test.each([
  ['empty', file('')],
  ['text', file('P3\n1 1\n255\n1 2 3')],
  ['no width', file('P6\n1\n255\n', 0, 0, 0)],
  ['width 0', file('P6\n0 1\n255\n')],
  ['a negative width', file('P6\n-1 1\n255\n', 0, 0, 0)],
  ['a huge width', file('P6\n100000 1\n255\n', 0, 0, 0)],
  ['17 bits', file('P6\n1 1\n65536\n', 0, 0, 0, 0, 0, 0)],
  ['one byte short', file('P6\n1 1\n255\n', 0, 0)],
  ['one byte short of 16 bits', file('P5\n1 1\n256\n', 0)],
  ['huge but short', file('P6\n99999 99999\n255\n', 0)],
  ['an endless comment', file(`P6\n#${'x'.repeat(10_000)}\n1 1\n255\n`, 0, 0, 0)],
])('refuses a file: %s', (_, bytes) => {
  expectRefusal(() => within('image.ppm', () => readNetpbmHeader(bytes)), 'ERR_INVALID_ARG', 'image.ppm');
});
