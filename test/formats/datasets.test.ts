import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { type ErrorCode, QARepVGGError } from '../../lib';
import { Dataset } from '../../lib/formats/dataset';
import { fashionMnistClasses, loadFashionMnist } from '../../lib/formats/fashion-mnist';
import { loadIdx, readIdx } from '../../lib/formats/idx';
import { root } from '../support/child';
import { temporaryFolder } from '../support/formats';
import { expectRefusal, expectRejection } from '../support/refusal';

const folder = temporaryFolder();

/** Writes a file; returns its path. */
function file(name: string, content: Buffer): string {
  writeFileSync(path.join(folder, name), content);
  return path.join(folder, name);
}

function idx(dims: readonly number[], content: readonly number[] | Buffer): Buffer {
  const header = Buffer.alloc(4 + 4 * dims.length);
  header.set([0, 0, 8, dims.length]);
  for (const [i, dim] of dims.entries()) header.writeUInt32BE(dim, 4 + 4 * i);
  return Buffer.concat([header, Buffer.from(content)]);
}

const goodIdx = idx([2, 3], [1, 2, 3, 4, 5, 6]);
const goodFile = file('good', goodIdx);

async function expectGoodToWork(): Promise<void> {
  expect(await readIdx(goodFile)).toEqual({ data: Buffer.from([1, 2, 3, 4, 5, 6]), dims: [2, 3] });
}

describe('IDX', () => {
  test('plain and compressed, in 1 to 4 dims', async () => {
    for (const dims of [[6], [2, 3], [1, 2, 3], [1, 1, 2, 3]]) {
      const content = idx(dims, [1, 2, 3, 4, 5, 6]);
      for (const bytes of [content, gzipSync(content)]) {
        const { data, dims: read } = await readIdx(file('any', bytes));
        expect([...data]).toEqual([1, 2, 3, 4, 5, 6]);
        expect(read).toEqual(dims);
      }
    }
  });

  const rows: readonly (readonly [title: string, code: ErrorCode, message: string, content: Buffer])[] = [
    ['an empty file', 'ERR_INVALID_ARG', 'received 0 bytes', Buffer.alloc(0)],
    ['a file of floats', 'ERR_INVALID_ARG', 'received 0 0 13 1', Buffer.from([0, 0, 13, 1, 0, 0, 0, 0])],
    ['text', 'ERR_INVALID_ARG', 'received 104 101 108 108', Buffer.from('hello')],
    ['no dims', 'ERR_INVALID_ARG', '1 to 4 dims', Buffer.from([0, 0, 8, 0])],
    ['five dims', 'ERR_INVALID_ARG', '1 to 4 dims', idx([1, 1, 1, 1, 1], [1])],
    [
      'dims whose product wraps',
      'ERR_LIMIT',
      '[4294967295, 4294967295',
      idx([2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1], []),
    ],
    ['2 GiB announced', 'ERR_LIMIT', 'at most 2147483647', gzipSync(idx([2 ** 31], []))],
    ['too few bytes', 'ERR_INVALID_ARG', '18 bytes for dims [2, 3], received 17', goodIdx.subarray(0, -1)],
    [
      'too many bytes',
      'ERR_INVALID_ARG',
      '18 bytes for dims [2, 3], received 19',
      Buffer.concat([goodIdx, Buffer.alloc(1)]),
    ],
    ['too few bytes after decompression', 'ERR_INVALID_ARG', 'received 17', gzipSync(goodIdx.subarray(0, -1))],
    ['gzip of nothing', 'ERR_INVALID_ARG', 'received 0 bytes', gzipSync('')],
    [
      'bytes behind the gzip data',
      'ERR_INVALID_ARG',
      'damaged',
      Buffer.concat([gzipSync(goodIdx), Buffer.from('more')]),
    ],
    [
      '200 MB of zeros in 200 KB',
      'ERR_INVALID_ARG',
      '10 bytes after decompression',
      gzipSync(idx([2], Buffer.alloc(2e8))),
    ],
  ];
  test.each(rows)('%s', async (_, code, message, content) => {
    const before = process.memoryUsage().arrayBuffers;
    await expectRejection(readIdx(file('hostile', content)), code, message);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2e7);
    await expectGoodToWork();
  });

  test('cut off anywhere', async () => {
    for (const content of [goodIdx, gzipSync(goodIdx)]) {
      for (let length = 0; length < content.length; length++) {
        await expectRejection(readIdx(file('cut', content.subarray(0, length))), 'ERR_INVALID_ARG', 'cut": expected');
      }
    }
    await expectGoodToWork();
  });

  test('any byte of a compressed file changed: refused, or read as before', async () => {
    const content = gzipSync(goodIdx);
    for (let at = 0; at < content.length; at++) {
      const damaged = Buffer.from(content);
      damaged[at] = (damaged[at] as number) ^ 0x55;
      const result = await readIdx(file('damaged', damaged)).catch((error: unknown) => error);
      if (result instanceof QARepVGGError) expect(result.code).toBe('ERR_INVALID_ARG');
      else expect(result).toMatchObject({ dims: [2, 3], data: Buffer.from([1, 2, 3, 4, 5, 6]) });
    }
    await expectGoodToWork();
  });
});

describe('images and labels', () => {
  const images = file('images', idx([2, 2, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]));
  const labels = file('labels', idx([2], [1, 0]));

  test('become a data set', async () => {
    const data = await loadIdx(images, labels, ['a', 'b']);
    expect([data.length, data.dims, data.classes]).toEqual([2, [2, 3, 1], ['a', 'b']]);
    expect([...data.image(1)]).toEqual([7, 8, 9, 10, 11, 12]);
    expect([data.label(0), data.label(1)]).toEqual([1, 0]);
  });

  test('in colour', async () => {
    const colour = file('colour', idx([2, 1, 2, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]));
    expect((await loadIdx(colour, labels, ['a', 'b'])).dims).toEqual([1, 2, 3]);
  });

  test.each<readonly [title: string, images: string, labels: string, message: string]>([
    ['images that are labels', labels, labels, '[count, height, width]'],
    ['labels that are images', images, images, '[2], a label for each image'],
    ['labels of other images', images, file('three', idx([3], [0, 0, 0])), 'received [3]'],
    ['a label without a class', images, file('wrong', idx([2], [0, 2])), 'an index into 2 classes, received 2'],
    ['no images', file('none', idx([0, 2, 3], [])), file('no labels', idx([0], [])), 'at least one image'],
  ])('%s', async (_, imagesPath, labelsPath, message) => {
    await expectRejection(loadIdx(imagesPath, labelsPath, ['a', 'b']), 'ERR_INVALID_ARG', message);
    expect((await loadIdx(images, labels, ['a', 'b'])).length).toBe(2);
  });
});

describe('a data set', () => {
  const source = {
    images: Uint8Array.of(1, 2, 3, 4, 5, 6),
    dims: [1, 2, 1] as const,
    labels: Int32Array.of(0, 1, 1),
    classes: ['a', 'b'],
  };
  const data = new Dataset(source);

  test('image and label are views by index', () => {
    expect([...data.image(2)]).toEqual([5, 6]);
    expect(data.image(2).buffer).toBe(source.images.buffer);
    expect(data.label(2)).toBe(1);
  });

  test('a subset is a copy, in the order asked for', () => {
    const some = data.subset([2, 0, 2]);
    expect([...some.images]).toEqual([5, 6, 1, 2, 5, 6]);
    expect([...some.labels]).toEqual([1, 0, 1]);
    some.images.fill(0);
    expect([...data.images]).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('in parts: views of the images, in order', () => {
    const parts = [...data.parts(2)];
    expect(parts.map(({ images, dims, labels }) => [[...images], dims, [...labels]])).toEqual([
      [
        [1, 2, 3, 4],
        [2, 1, 2, 1],
        [0, 1],
      ],
      [[5, 6], [1, 1, 2, 1], [1]],
    ]);
    expect(parts[1]?.images.buffer).toBe(source.images.buffer);
  });

  test.each(['images', 'labels'] as const)('whose %s were transferred away says so', (name) => {
    const own = { ...source, images: source.images.slice(), labels: source.labels.slice() };
    const gone = new Dataset(own);
    structuredClone(own[name], { transfer: [own[name].buffer] });
    for (const read of [() => gone.image(0), () => gone.label(0), () => gone.subset([0]), () => [...gone.parts(2)]]) {
      expectRefusal(read, 'ERR_BUFFER_DETACHED', 'an ArrayBuffer that was detached');
    }
    expect(gone.length).toBe(3);
  });

  test.each([-1, 3, 0.5, Number.NaN, '0'])('no image %p', (index) => {
    expectRefusal(() => data.image(index as number), 'ERR_INVALID_ARG', 'an integer from 0 to 2');
    expectRefusal(() => data.label(index as number), 'ERR_INVALID_ARG', 'an integer from 0 to 2');
    expectRefusal(() => data.subset([index as number]), 'ERR_INVALID_ARG', 'an integer from 0 to 2');
    expect(data.label(1)).toBe(1);
  });

  test.each<readonly [title: string, code: ErrorCode, message: string, change: object]>([
    ['floats', 'ERR_DTYPE', 'a Float32Array', { images: new Float32Array(6) }],
    ['labels in an array', 'ERR_DTYPE', 'an array', { labels: [0, 1, 1] }],
    ['too few bytes', 'ERR_BUFFER_SIZE', '6 bytes for 3 labels, received 5', { images: new Uint8Array(5) }],
    ['two dims', 'ERR_SHAPE', 'received [1, 2]', { dims: [1, 2] }],
    ['four dims', 'ERR_SHAPE', 'received [1, 2, 1, 1]', { dims: [1, 2, 1, 1] }],
    ['a dim of 0', 'ERR_SHAPE', 'received [0, 2, 1]', { dims: [0, 2, 1] }],
    ['dims that wrap', 'ERR_SIZE_OVERFLOW', 'images', { dims: [2 ** 40, 2 ** 40, 1] }],
    ['no dims', 'ERR_SHAPE', 'received undefined', { dims: undefined }],
    ['no labels', 'ERR_INVALID_ARG', 'at least one', { images: new Uint8Array(0), labels: new Int32Array(0) }],
    ['a negative label', 'ERR_INVALID_ARG', 'labels[1]', { labels: Int32Array.of(0, -1, 1) }],
    ['a label too large', 'ERR_INVALID_ARG', 'received 2', { labels: Int32Array.of(0, 1, 2) }],
    ['classes that are numbers', 'ERR_INVALID_ARG', 'an array of names', { classes: [0, 1] }],
  ])('refused: %s', (_, code, message, change) => {
    expectRefusal(() => new Dataset({ ...source, ...change }), code, message);
    expect(new Dataset(source).length).toBe(3);
  });
});

describe('Fashion-MNIST', () => {
  const shipped = path.join(root, 'examples/data/fashion-mnist');

  test.each([
    ['train', 512, [52, 52, 51, 51, 51, 51, 51, 51, 51, 51]],
    ['test', 1000, Array(10).fill(100)],
  ] as const)('the %s images that are shipped', async (split, length, perClass) => {
    const data = await loadFashionMnist(shipped, split);
    expect([data.length, data.dims, data.classes]).toEqual([length, [28, 28, 1], fashionMnistClasses]);
    expect(fashionMnistClasses.map((_, label) => data.labels.filter((own) => own === label).length)).toEqual(perClass);
    const distinct = new Set(Array.from({ length }, (_, i) => Buffer.from(data.image(i)).toString('base64')));
    expect(distinct.size).toBe(length);
    // The whole data set has a mean of 0.286 and a standard deviation of 0.353.
    const mean = data.images.reduce((sum, value) => sum + value, 0) / data.images.length / 255;
    expect(Math.abs(mean - 0.286)).toBeLessThan(0.01);
  });

  test('without .gz too, and refused when files are missing', async () => {
    const missing = () => loadFashionMnist(folder, 'test');
    await expectRejection(missing(), 'ERR_INVALID_ARG', 't10k-images-idx3-ubyte.gz or t10k-images-idx3-ubyte');
    file('t10k-images-idx3-ubyte', idx([1, 28, 28], Buffer.alloc(784, 7)));
    await expectRejection(missing(), 'ERR_INVALID_ARG', 't10k-labels-idx1-ubyte');
    file('t10k-labels-idx1-ubyte.gz', gzipSync(idx([1], [9])));
    const data = await missing();
    expect(data.classes[data.label(0)]).toBe('Ankle boot');
    await expectRejection(loadFashionMnist(folder, 'valid' as 'test'), 'ERR_INVALID_ARG', 'received "valid"');
    await expectRejection(loadFashionMnist(undefined as never, 'test'), 'ERR_INVALID_ARG', 'received undefined');
  });
});
