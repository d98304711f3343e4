import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { ErrorCode } from '../../lib';
import { loadImageFolder } from '../../lib/vision/image-folder';
import { temporaryFolder } from '../support/formats';
import { expectRejection } from '../support/refusal';

// As on a machine without sharp, whether this one has it or not.
jest.mock(
  'sharp',
  () => {
    throw new Error("Cannot find module 'sharp'");
  },
  { virtual: true },
);

const root = temporaryFolder();

/** A folder of these files; names have one slash. */
function folderOf(name: string, files: Record<string, Buffer>): string {
  mkdirSync(path.join(root, name));
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(path.join(root, name, path.dirname(file)), { recursive: true });
    writeFileSync(path.join(root, name, file), content);
  }
  return path.join(root, name);
}

function ppm(width: number, height: number, first = 0): Buffer {
  const pixels = Uint8Array.from({ length: 3 * width * height }, (_, i) => first + i);
  return Buffer.concat([Buffer.from(`P6\n${width} ${height}\n255\n`), pixels]);
}

const good = folderOf('good', {
  'dogs/b.ppm': ppm(2, 1, 6),
  'cats/10.ppm': ppm(2, 1),
  'cats/9.PPM': ppm(2, 1, 250 - 256),
  'cats/.hidden.ppm': Buffer.alloc(0),
  'cats/notes.txt': Buffer.from('no image'),
  '.git/x.ppm': Buffer.alloc(0),
  'readme.txt': Buffer.from('no folder'),
});

async function expectGoodToWork(): Promise<void> {
  const data = await loadImageFolder(good);
  expect(data.classes).toEqual(['cats', 'dogs']);
  expect(data.dims).toEqual([1, 2, 3]);
  expect([...data.labels]).toEqual([0, 0, 1]);
  expect([...data.images]).toEqual([0, 1, 2, 3, 4, 5, 250, 251, 252, 253, 254, 255, 6, 7, 8, 9, 10, 11]);
}

test('a folder per class, in the order of their names, bytes as in the files', expectGoodToWork);

test('more images than are decoded at a time, and a linked class', async () => {
  const files = Array.from(
    { length: 21 },
    (_, i) => [`x/${String(i).padStart(2, '0')}.ppm`, ppm(1, 1, 3 * i)] as const,
  );
  const folder = folderOf('many', Object.fromEntries(files));
  symlinkSync(path.join(good, 'dogs'), path.join(folder, 'a'));
  await expectRejection(loadImageFolder(folder), 'ERR_SHAPE', '2 x 1 pixels as the first image');
  const alone = folderOf('alone', Object.fromEntries(files));
  expect([...(await loadImageFolder(alone)).images]).toEqual(Array.from({ length: 63 }, (_, i) => i));
});

const colours = [255, 0, 0, 0, 255, 0, 0, 0, 255, 90, 160, 150];
const x = 'x/1.ppm';
test.each<readonly [title: string, code: ErrorCode, message: string, folder: () => unknown, options: unknown]>([
  ['no folder', 'ERR_INVALID_ARG', 'ENOENT', () => path.join(root, 'missing'), {}],
  ['a file', 'ERR_INVALID_ARG', 'ENOTDIR', () => path.join(good, 'readme.txt'), {}],
  ['nothing', 'ERR_INVALID_ARG', 'received undefined', () => undefined, {}],
  ['an empty folder', 'ERR_INVALID_ARG', 'a folder for each class', () => folderOf('empty', {}), {}],
  ['images without a class', 'ERR_INVALID_ARG', 'a folder for each class', () => path.join(good, 'cats'), {}],
  [
    'a class without images',
    'ERR_INVALID_ARG',
    'at least one image',
    () => folderOf('bare', { 'x/a.txt': ppm(1, 1) }),
    {},
  ],
  ['an image cut off', 'ERR_INVALID_ARG', '1.ppm"', () => folderOf('cut', { [x]: ppm(2, 2).subarray(0, -1) }), {}],
  ['an empty image', 'ERR_INVALID_ARG', 'an empty file', () => folderOf('void', { [x]: Buffer.alloc(0) }), {}],
  [
    'a JPEG',
    'ERR_ADDON_LOAD',
    'install it: npm install sharp',
    () => folderOf('jpeg', { 'x/1.jpg': Buffer.from([0xff, 0xd8, 0xff, 0xe0]) }),
    {},
  ],
  ['another size', 'ERR_ADDON_LOAD', 'npm install sharp', () => good, { height: 1, width: 1 }],
  ['half a size', 'ERR_INVALID_ARG', 'both height and width', () => good, { height: 1 }],
  ['a height of 0', 'ERR_INVALID_ARG', 'from 1 to 65535', () => good, { height: 0, width: 1 }],
  ['two channels', 'ERR_INVALID_ARG', '1 or 3', () => good, { channels: 2 }],
  ['an unknown option', 'ERR_INVALID_ARG', 'received "size"', () => good, { size: 28 }],
  ['options that are a number', 'ERR_INVALID_ARG', 'an object', () => good, 28],
  ['a class that was not asked for', 'ERR_INVALID_ARG', 'dogs"', () => good, { classes: ['cats', 'fish'] }],
  ['no names of classes', 'ERR_INVALID_ARG', 'option classes', () => good, { classes: [] }],
  ['a class that is a broken link', 'ERR_INVALID_ARG', 'ENOENT', broken, {}],
])('refused: %s', async (_, code, message, folder, options) => {
  await expectRejection(loadImageFolder(folder() as string, options as object), code, message);
  await expectGoodToWork();
});

function broken(): string {
  const folder = folderOf('broken', { [x]: ppm(1, 1) });
  symlinkSync('nowhere', path.join(folder, 'y'));
  return folder;
}

test('classes in the order asked for, not all of which need a folder', async () => {
  const classes = ['fish', 'dogs', 'cats'];
  const data = await loadImageFolder(good, { classes });
  expect([data.classes, [...data.labels]]).toEqual([classes, [2, 2, 1]]);
});

test('in grey: luma, as Pillow rounds it', async () => {
  const folder = folderOf('colours', { 'x/1.ppm': Buffer.concat([Buffer.from('P6 4 1 255 '), Buffer.from(colours)]) });
  const { dims, images } = await loadImageFolder(folder, { channels: 1 });
  expect([dims, ...images]).toEqual([[1, 4, 1], 76, 150, 29, 138]);
});

test('a grey image in colour', async () => {
  const folder = folderOf('grey', { 'x/1.pgm': Buffer.concat([Buffer.from('P5 2 1 255 '), Buffer.from([7, 9])]) });
  expect([...(await loadImageFolder(folder)).images]).toEqual([7, 7, 7, 9, 9, 9]);
});

test('the size asked for, where all have it', async () => {
  expect((await loadImageFolder(good, { height: 1, width: 2, channels: 3 })).length).toBe(3);
});
