import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { type ErrorCode, readImage } from '../../lib';
import { Semaphore } from '../../lib/vision/semaphore';
import { temporaryFolder } from '../support/formats';
import { expectRejection } from '../support/refusal';

const root = temporaryFolder();

const pixels = (channels: 1 | 2 | 3 | 4, ...bytes: number[]) =>
  sharp(Buffer.from(bytes), { raw: { width: bytes.length / channels, height: 1, channels } });
const plain = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 3, background: { r: 200, g: 10, b: 20 } } });
const good = plain(2, 1).png().toBuffer();

async function read(file: Uint8Array, options = {}): Promise<number[]> {
  return [...(await readImage(file, options)).data];
}

async function expectGoodToWork(): Promise<void> {
  expect(await read(await good)).toEqual([200, 10, 20, 200, 10, 20]);
}

test('a path, bytes and an ArrayBuffer give the same', async () => {
  const bytes = await good;
  writeFileSync(path.join(root, 'good.jpg'), bytes);
  const expected = { data: Uint8Array.of(200, 10, 20, 200, 10, 20), dims: [1, 1, 2, 3] };
  const buffer = new Uint8Array(bytes).buffer;
  for (const source of [path.join(root, 'good.jpg'), bytes, buffer]) {
    const { data, dims } = await readImage(source);
    expect([[...data], dims]).toEqual([[...expected.data], expected.dims]);
  }
});

test('bytes are copied before the promise is given', async () => {
  const bytes = new Uint8Array(await good);
  const work = readImage(bytes);
  structuredClone(bytes, { transfer: [bytes.buffer] });
  expect([...(await work).data]).toEqual([200, 10, 20, 200, 10, 20]);
});

describe('colours as Pillow reads them', () => {
  test('transparency hides nothing, scaled or not', async () => {
    const clear = await pixels(4, 200, 10, 20, 0, 200, 10, 20, 0).png().toBuffer();
    expect(await read(clear)).toEqual([200, 10, 20, 200, 10, 20]);
    expect(await read(clear, { height: 1, width: 1 })).toEqual([200, 10, 20]);
    expect(await read(await pixels(2, 7, 0, 9, 255).png().toBuffer())).toEqual([7, 7, 7, 9, 9, 9]);
  });

  test('of 16 bits the upper 8', async () => {
    const deep = sharp(Uint16Array.of(0x12ff, 0xff80, 0x00ff), { raw: { width: 1, height: 1, channels: 3 } });
    expect(await read(await deep.toColourspace('rgb16').png().toBuffer())).toEqual([0x12, 0xff, 0]);
    const grey = sharp(Uint16Array.of(0x12ff, 0xff80), { raw: { width: 2, height: 1, channels: 1 } });
    expect(await read(await grey.toColourspace('grey16').png().toBuffer(), { channels: 1 })).toEqual([0x12, 0xff]);
  });

  test('CMYK without a profile', async () => {
    expect(await read(cmykTiff([10, 100, 200, 50, 0, 0, 0, 255, 255, 0, 128, 0]))).toEqual([
      197, 125, 44, 0, 0, 0, 0, 255, 127,
    ]);
  });

  test('colour profiles are left out of account', async () => {
    const wide = await pixels(3, 200, 10, 20).withIccProfile('p3').png().toBuffer();
    const stored = await sharp(wide, { ignoreIcc: true }).raw().toBuffer();
    expect([...stored]).not.toEqual([200, 10, 20]);
    expect(await read(wide)).toEqual([...stored]);
  });

  test('grey is luma', async () => {
    const colours = await pixels(3, 255, 0, 0, 0, 255, 0, 0, 0, 255, 90, 160, 150).png().toBuffer();
    expect(await read(colours, { channels: 1 })).toEqual([76, 150, 29, 138]);
  });
});

test('what decoders only warn of is read; what is missing is not', async () => {
  const jpeg = await plain(16, 16).jpeg().toBuffer();
  const table = jpeg.indexOf(Buffer.from([0xff, 0xdb]));
  const extraneous = Buffer.concat([jpeg.subarray(0, table), Buffer.from([1, 2, 3]), jpeg.subarray(table)]);
  expect(await read(extraneous)).toEqual(await read(jpeg));
  await expectRejection(readImage(jpeg.subarray(0, -20)), 'ERR_INVALID_ARG', 'premature end');
});

describe('hostile files', () => {
  /** A drawing of a few hundred bytes that takes 2^20 steps. */
  const nested = Array.from({ length: 20 }, (_, i) => `<g id="g${i + 1}"><use href="#g${i}"/><use href="#g${i}"/></g>`);
  const svg = `<svg xmlns="http://www.w3.org/2000/svg"><defs><g id="g0"/>${nested.join('')}</defs><use href="#g20"/></svg>`;
  const gif = Buffer.from(
    'GIF89a\x4d\x31\x36\x44\x00\x00\x00,\x00\x00\x00\x00\x4d\x31\x36\x44\x00\x02\x02\x4c\x01\x00;',
    'latin1',
  );

  test.each<readonly [title: string, code: ErrorCode, message: string, file: () => Uint8Array]>([
    ['a drawing', 'ERR_INVALID_ARG', 'an SVG drawing', () => Buffer.from(svg)],
    ['a drawing behind a comment', 'ERR_INVALID_ARG', 'an SVG', () => Buffer.from(`<!-- P6 -->\n${svg}`)],
    ['a drawing, compressed', 'ERR_INVALID_ARG', 'begins with', () => Buffer.from([0x1f, 0x8b, 8, 0])],
    ['a drawing of UTF-16', 'ERR_INVALID_ARG', 'begins with', () => Buffer.from(`\ufeff${svg}`, 'utf16le')],
    ['a PDF', 'ERR_INVALID_ARG', 'a PDF', () => Buffer.from('%PDF-1.7')],
    ['a page', 'ERR_INVALID_ARG', 'HTML', () => Buffer.from('<!DOCTYPE html>')],
    ['a pointer', 'ERR_INVALID_ARG', 'git lfs pull', () => Buffer.from('version https://git-lfs.github.com/spec/v1\n')],
    ['a BMP', 'ERR_INVALID_ARG', 'convert it to PNG', () => Buffer.from('BM000000')],
    ['nothing', 'ERR_INVALID_ARG', 'an empty file', () => Buffer.alloc(0)],
    ['a GIF of 12,621 x 17,462', 'ERR_LIMIT', '12621 x 17462', () => gif],
    ['a PNG of 16,300 x 16,300', 'ERR_LIMIT', '16300 x 16300', () => png(16300, 16300)],
    ['a PNG of 20,000 x 20,000', 'ERR_LIMIT', '20000 x 20000', () => png(20000, 20000)],
    ['a PNG of 2^31 - 1 pixels a side', 'ERR_INVALID_ARG', 'sharp refuses', () => png(2 ** 31 - 1, 2 ** 31 - 1)],
    ['a PPM of 99,999 x 1,000', 'ERR_INVALID_ARG', 'bytes of pixels', () => Buffer.from('P6 99999 1000 255 ')],
  ])('%s is refused before it is decoded', async (_, code, message, file) => {
    writeFileSync(path.join(root, 'cat.png'), file());
    const before = process.memoryUsage.rss();
    await expectRejection(readImage(file()), code, message);
    await expectRejection(readImage(path.join(root, 'cat.png')), code, 'cat.png"');
    expect(process.memoryUsage.rss() - before).toBeLessThan(2 ** 26);
    await expectGoodToWork();
  });

  test('floats are no bytes', async () => {
    const floats = await sharp(Float32Array.of(0.1, 0.5, 0.9), { raw: { width: 1, height: 1, channels: 3 } })
      .toColourspace('scrgb')
      .tiff({ compression: 'none' })
      .toBuffer();
    await expectRejection(readImage(floats), 'ERR_INVALID_ARG', '8 or 16 bits per channel, received one of float');
  });

  test('the limit of pixels is an option, and counts them before decoding', async () => {
    const file = await plain(20, 10).png().toBuffer();
    await expectRejection(readImage(file, { maxPixels: 199 }), 'ERR_LIMIT', 'at most 199 pixels');
    expect((await readImage(file, { maxPixels: 200 })).dims).toEqual([1, 10, 20, 3]);
    const ppm = Buffer.concat([Buffer.from('P6 10 20 255 '), Buffer.alloc(600)]);
    await expectRejection(readImage(ppm, { maxPixels: 199 }), 'ERR_LIMIT', 'one of 10 x 20');
  });

  test('a file of more bytes than any such image has', async () => {
    const file = new Uint8Array(2 ** 26 + 1);
    await expectRejection(readImage(file, { maxPixels: 100 }), 'ERR_LIMIT', 'at most 67108864 bytes');
  });
});

describe('time', () => {
  const slow = sharp({ create: { width: 7000, height: 7000, channels: 3, background: 'red' } })
    .png({ compressionLevel: 1, progressive: true })
    .toBuffer();

  test('a limit', async () => {
    await expectRejection(readImage(await slow, { timeout: 1 }), 'ERR_LIMIT', 'at most 1 ms to decode');
    await expectGoodToWork();
  });

  test('an abort: before, while and after it decodes', async () => {
    const file = await slow;
    const aborted = (signal: AbortSignal) => expectRejection(readImage(file, { signal }), 'ERR_ABORTED', 'aborted');
    await aborted(AbortSignal.abort());
    const later = new AbortController();
    const work = aborted(later.signal);
    await sleep(1);
    later.abort();
    await work;
    const late = new AbortController();
    expect((await readImage(await good, { signal: late.signal })).dims).toEqual([1, 1, 2, 3]);
    late.abort();
    await expectGoodToWork();
  });

  test('an abort of many, most of which wait for their turn', async () => {
    const file = await slow;
    const controller = new AbortController();
    const many = Array.from({ length: 12 }, () => readImage(file, { signal: controller.signal }));
    await sleep(1);
    controller.abort();
    for (const result of await Promise.allSettled(many))
      expect(result).toMatchObject({ reason: { code: 'ERR_ABORTED' } });
    await expectGoodToWork();
  });
});

describe('a semaphore', () => {
  test('runs work in order, as long as units are free', async () => {
    const semaphore = new Semaphore(3);
    const events: string[] = [];
    const ends: (() => void)[] = [];
    const start = (name: string, units: number) =>
      semaphore.run(units, () => {
        events.push(name);
        return new Promise<void>((resolve) => ends.push(resolve));
      });
    const all = [start('a', 2), start('b', 2), start('c', 1), start('more than there are', 9), start('d', 1)];
    await setImmediate();
    expect(events).toEqual(['a']);
    ends[0]?.();
    await setImmediate();
    expect(events).toEqual(['a', 'b', 'c']);
    ends[1]?.();
    ends[2]?.();
    await setImmediate();
    expect(events.slice(3)).toEqual(['more than there are']);
    ends[3]?.();
    await setImmediate();
    ends[4]?.();
    await Promise.all(all);
  });

  test('frees the units of work that fails', async () => {
    const semaphore = new Semaphore(1);
    await expect(semaphore.run(1, () => Promise.reject(new Error('failed')))).rejects.toThrow('failed');
    expect(await semaphore.run(1, () => Promise.resolve(5))).toBe(5);
  });
});

test.each([
  ['a number', 5, {}, 'a path, a Uint8Array or an ArrayBuffer, received 5'],
  ['an empty path', '', {}, 'a path'],
  ['half a size', Buffer.from('P6 '), { width: 5 }, 'both height and width'],
  ['no pixels', Buffer.from('P6 '), { maxPixels: 0 }, 'option maxPixels'],
  ['no time', Buffer.from('P6 '), { timeout: 0 }, 'option timeout'],
  ['a signal that is none', Buffer.from('P6 '), { signal: {} }, 'an AbortSignal'],
])('refused: %s', async (_, source, options, message) => {
  await expectRejection(readImage(source as string, options as object), 'ERR_INVALID_ARG', message);
});

/** A PNG that says that it is of this size, and ends soon. */
function png(width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const chunks = [
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.alloc(1000))),
    chunk('IEND', Buffer.alloc(0)),
  ];
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), ...chunks]);
}

function chunk(name: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(name, 'latin1'), data]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** One row of cyan, magenta, yellow, black. */
function cmykTiff(bytes: readonly number[]): Buffer {
  const entries = [
    [256, 3, 1, bytes.length / 4], // width
    [257, 3, 1, 1], // height
    [258, 3, 1, 8], // bits
    [259, 3, 1, 1], // no compression
    [262, 3, 1, 5], // CMYK
    [273, 4, 1, 8 + 2 + 9 * 12 + 4], // where the pixels are
    [277, 3, 1, 4], // channels
    [278, 3, 1, 1], // rows
    [279, 4, 1, bytes.length],
  ] as const;
  const directory = Buffer.alloc(2 + entries.length * 12 + 4);
  directory.writeUInt16LE(entries.length, 0);
  for (const [i, [tag, type, count, value]] of entries.entries()) {
    directory.writeUInt16LE(tag, 2 + 12 * i);
    directory.writeUInt16LE(type, 4 + 12 * i);
    directory.writeUInt32LE(count, 6 + 12 * i);
    directory.writeUInt32LE(value, 10 + 12 * i);
  }
  return Buffer.concat([Buffer.from('II*\0\x08\0\0\0', 'latin1'), directory, Buffer.from(bytes)]);
}

test('bytes whose memory was transferred away are refused', async () => {
  const bytes = Uint8Array.from(Buffer.from('P5 1 1 255\n.'));
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  await expectRejection(readImage(bytes), 'ERR_BUFFER_DETACHED', 'readImage, image');
  await expectRejection(readImage(bytes.buffer), 'ERR_BUFFER_DETACHED', 'readImage, image');
});
