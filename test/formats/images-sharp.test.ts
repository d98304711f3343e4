import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { loadImageFolder } from '../../lib/vision/image-folder';
import { temporaryFolder } from '../support/formats';
import { expectRejection } from '../support/refusal';

const root = temporaryFolder();
const folder = path.join(root, 'mixed');

/** A class of one image. */
function classOf(name: string, file: string, content: Uint8Array): void {
  mkdirSync(path.join(folder, name), { recursive: true });
  writeFileSync(path.join(folder, name, file), content);
}

const red = { r: 200, g: 10, b: 20 };
const plain = (width: number, height: number) => sharp({ create: { width, height, channels: 3, background: red } });
/** Where bytes are rounded: by the compression of JPEG, and by scaling in the presence of transparency. */
const tolerance: Readonly<Record<string, number>> = { jpeg: 3, alpha: 2 };
const pixels = (images: Uint8Array) =>
  new Set(Array.from({ length: images.length / 3 }, (_, i) => `${images.subarray(3 * i, 3 * i + 3)}`));

beforeAll(async () => {
  classOf('jpeg', '1.jpg', await plain(16, 8).jpeg({ quality: 100, chromaSubsampling: '4:4:4' }).toBuffer());
  classOf('png', '1.png', await plain(8, 8).png().toBuffer());
  classOf('webp', '1.webp', await plain(8, 12).webp({ lossless: true }).toBuffer());
  classOf('alpha', '1.png', await plain(8, 8).ensureAlpha(0.5).png().toBuffer());
  classOf('deep', '1.png', await plain(8, 8).toColourspace('rgb16').png().toBuffer());
  classOf(
    'ppm',
    '1.ppm',
    Buffer.concat([
      Buffer.from('P6 2 2 255\n'),
      Buffer.from([200, 10, 20]),
      Buffer.alloc(9, Buffer.from([200, 10, 20])),
    ]),
  );
});

test('formats, transparency and depth, scaled to one size', async () => {
  const data = await loadImageFolder(folder, { height: 4, width: 4 });
  expect(data.classes).toEqual(['alpha', 'deep', 'jpeg', 'png', 'ppm', 'webp']);
  expect([data.length, data.dims]).toEqual([6, [4, 4, 3]]);
  for (const [i, name] of data.classes.entries()) {
    const image = data.image(i);
    const worst = Math.max(...image.map((value, at) => Math.abs(value - ([200, 10, 20][at % 3] as number))));
    expect([name, worst <= (tolerance[name] ?? 0)]).toEqual([name, true]);
  }
});

test('grey', async () => {
  const data = await loadImageFolder(folder, { height: 4, width: 4, channels: 1 });
  expect([data.dims, data.images.length]).toEqual([[4, 4, 1], 6 * 16]);
  const { min, max } = { min: Math.min(...data.images), max: Math.max(...data.images) };
  expect(min).toBeGreaterThan(40);
  expect(max).toBeLessThan(110);
});

test('the middle is kept, and the file turned as it says', async () => {
  const own = path.join(root, 'own');
  // Three columns, of which a square of the height shows the middle one.
  const columns = Buffer.from([1, 1, 1, 50, 50, 50, 99, 99, 99]);
  const raw = sharp(columns, { raw: { width: 3, height: 1, channels: 3 } });
  mkdirSync(path.join(own, 'x'), { recursive: true });
  writeFileSync(path.join(own, 'x', 'a.png'), await raw.clone().png().toBuffer());
  expect([...(await loadImageFolder(own, { height: 1, width: 1 })).images]).toEqual([50, 50, 50]);
  writeFileSync(path.join(own, 'x', 'a.png'), await raw.clone().withMetadata({ orientation: 6 }).png().toBuffer());
  const turned = await loadImageFolder(own);
  expect(turned.dims).toEqual([3, 1, 3]);
  expect(pixels(turned.images)).toEqual(new Set(['1,1,1', '50,50,50', '99,99,99']));
});

test('refused: different sizes, and files that are no images', async () => {
  await expectRejection(loadImageFolder(folder), 'ERR_SHAPE', 'set the options height and width');
  const bad = path.join(root, 'bad');
  for (const [name, content] of [
    ['text', 'no image'],
    ['empty', ''],
    ['cut', (await plain(99, 99).png().toBuffer()).subarray(0, 60)],
  ] as const) {
    mkdirSync(path.join(bad, name, 'x'), { recursive: true });
    writeFileSync(path.join(bad, name, 'x', 'a.png'), content);
    await expectRejection(loadImageFolder(path.join(bad, name)), 'ERR_INVALID_ARG', 'a.png": expected an image');
  }
});
