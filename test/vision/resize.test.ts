import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type ByteImages, type ResizeFilter, transformImage } from '../../lib';
import { centerCrop, letterbox, resize } from '../../lib/vision';
import { coveringSize } from '../../lib/vision/crop';
import { prepareImage } from '../../lib/vision/prepare';
import { root } from '../support/child';
import { expectRejection } from '../support/refusal';

/** Made by Pillow: test/fixtures/make_resize_fixture.py. */
const golden = JSON.parse(readFileSync(path.join(root, 'test/fixtures/resize.json'), 'utf8')) as {
  resize: { image: string; grey?: true; width: number; height: number; sha256: string }[];
  filters: { image: string; filter: ResizeFilter; width: number; height: number; sha256: string }[];
  recipes: { image: string; resize: number; crop: number; sha256: string }[];
  small: { filter: ResizeFilter; from: [number, number]; to: [number, number]; data: string }[];
};

const digest = ({ data }: ByteImages): string => createHash('sha256').update(data).digest('hex');

/** A binary PPM of 224 x 224. */
function photograph(name: string): ByteImages {
  const file = readFileSync(path.join(root, 'examples/images', `${name}.ppm`));
  return { data: file.subarray(-224 * 224 * 3), dims: [1, 224, 224, 3] };
}

function grey({ data }: ByteImages): ByteImages {
  const luma = (i: number): number =>
    (19595 * (data[i] as number) + 38470 * (data[i + 1] as number) + 7471 * (data[i + 2] as number) + 32768) >> 16;
  return { data: Uint8Array.from({ length: data.length / 3 }, (_, i) => luma(3 * i)), dims: [1, 224, 224, 1] };
}

function ramp(width: number, height: number): ByteImages {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 7919 + Math.floor(i / 13)) % 256);
  return { data, dims: [1, height, width, 3] };
}

test('photographs are scaled as by Pillow, to the byte', async () => {
  for (const { image, grey: isGrey, sha256, ...size } of golden.resize) {
    const whole = photograph(image);
    expect([image, size, digest(await resize(isGrey ? grey(whole) : whole, size))]).toEqual([image, size, sha256]);
  }
});

test('with other filters, too', async () => {
  for (const { image, sha256, ...options } of golden.filters) {
    expect([image, options, digest(await resize(photograph(image), options))]).toEqual([image, options, sha256]);
  }
});

test.each(golden.recipes)('resize and centre crop are those of torchvision: $image, $resize, $crop', async (wanted) => {
  const image = photograph(wanted.image);
  const [scaled, cut] = [wanted.resize, wanted.crop].map((side) => ({ height: side, width: side })) as [Size, Size];
  const covering = coveringSize({ height: 224, width: 224 }, scaled);
  expect(digest(await centerCrop(await resize(image, covering), cut))).toBe(wanted.sha256);
});

interface Size {
  height: number;
  width: number;
}

test('the recipe of ImageNet is one step', async () => {
  const wanted = golden.recipes.find(({ resize: side, crop }) => side === 256 && crop === 224);
  const { data } = await prepareImage(photograph(wanted?.image ?? ''), { height: 224, width: 224 });
  expect(digest({ data, dims: [] })).toBe(wanted?.sha256);
});

test('small images too', async () => {
  for (const { filter, from, to, data } of golden.small) {
    const scaled = await resize(ramp(...from), { width: to[0], height: to[1], filter });
    const isText = filter === 'bilinear' && to[0] < 17;
    const result = isText ? Buffer.from(scaled.data).toString('base64') : digest(scaled);
    expect([filter, from, to, result]).toEqual([filter, from, to, data]);
  }
});

test.each([
  [
    { height: 480, width: 640 },
    { height: 256, width: 341 },
  ],
  [
    { height: 640, width: 480 },
    { height: 341, width: 256 },
  ],
  [
    { height: 333, width: 500 },
    { height: 256, width: 384 },
  ],
  [
    { height: 10, width: 10 },
    { height: 256, width: 256 },
  ],
])('%j covers a square of 256 as %j', (image, size) => {
  expect(coveringSize(image, { height: 256, width: 256 })).toEqual(size);
});

test('a long one is aborted', async () => {
  const image = { data: new Uint8Array(3 * 4000 * 3000), dims: [1, 3000, 4000, 3] };
  const stop = new AbortController();
  const scaled = resize(image, { height: 256, width: 341, signal: stop.signal });
  stop.abort();
  await expect(scaled).rejects.toMatchObject({ code: 'ERR_ABORTED' });
});

describe('a letterbox', () => {
  test('keeps proportions, in the middle', async () => {
    const image = { data: new Uint8Array(2 * 4 * 3).fill(9), dims: [1, 2, 4, 3] };
    const { image: canvas, ...placement } = await letterbox(image, { height: 9, width: 8 });
    expect(placement).toEqual({ scaleX: 2, scaleY: 2, top: 2, left: 0 });
    expect(canvas.dims).toEqual([1, 9, 8, 3]);
    const rows = Array.from({ length: 9 }, (_, row) => new Set(canvas.data.subarray(row * 24, (row + 1) * 24)));
    expect(rows.map((values) => [...values])).toEqual([[114], [114], [9], [9], [9], [9], [114], [114], [114]]);
  });

  test('an image of one pixel, and one far too long', async () => {
    const pixel = { data: Uint8Array.of(1, 2, 3), dims: [1, 1, 1, 3] };
    expect([...(await letterbox(pixel, { height: 2, width: 2 })).image.data]).toEqual(Array(4).fill([1, 2, 3]).flat());
    const line = { data: new Uint8Array(3 * 5000), dims: [1, 1, 5000, 3] };
    const { scaleX, scaleY } = await letterbox(line, { height: 32, width: 32 });
    expect([scaleX, scaleY]).toEqual([32 / 5000, 1]);
  });
});

test('floats in both orders', async () => {
  const table = Float32Array.from({ length: 512 }, (_, i) => (i < 256 ? i / 2 : -i));
  const image = { data: Uint8Array.of(1, 2, 3, 4), dims: [1, 1, 2, 2] };
  const planes = await transformImage(image, {}, undefined, { layout: 'planes', table });
  expect([planes.dims, [...planes.data]]).toEqual([
    [1, 2, 1, 2],
    [0.5, 1.5, -258, -260],
  ]);
  const pixels = await transformImage(image, {}, undefined, { layout: 'pixels', table });
  expect([pixels.dims, [...pixels.data]]).toEqual([
    [1, 1, 2, 2],
    [0.5, -258, 1.5, -260],
  ]);
});

test('what is no image, or too large, is refused', async () => {
  const image = { data: new Uint8Array(12), dims: [1, 2, 2, 3] };
  await expectRejection(resize({ ...image, dims: [2, 1, 2, 3] }, { height: 1, width: 1 }), 'ERR_SHAPE', 'one image');
  await expectRejection(resize({ ...image, dims: [1, 2, 2, 4] }, { height: 1, width: 1 }), 'ERR_BUFFER_SIZE', '16');
  await expectRejection(resize(image, { height: 0, width: 1 }), 'ERR_INVALID_ARG', 'height');
  await expectRejection(resize(image, { height: 65_535, width: 65_535 }), 'ERR_LIMIT', 'bytes');
  await expectRejection(centerCrop(image, { height: 3, width: 1 }), 'ERR_SHAPE', 'one of 2 x 2');
});
