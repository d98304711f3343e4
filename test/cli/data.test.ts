import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { findData, loadPart } from '../../lib/cli/data';
import { classesText, classLines, listText, skippedText } from '../../lib/cli/data-text';
import { within } from '../../lib/errors';
import { Dataset } from '../../lib/formats/dataset';
import { fashionMnistClasses } from '../../lib/formats/fashion-mnist';
import { temporaryFolder } from '../support/formats';
import { expectRejection } from '../support/refusal';

const root = temporaryFolder();
const shipped = path.resolve(__dirname, '../../examples/data/fashion-mnist');

function ppm(value = 0): Buffer {
  return Buffer.concat([Buffer.from('P6 1 1 255\n'), Buffer.from([value, value, value])]);
}

/** An IDX file of bytes. */
function idx(dims: number[], data: number[]): Buffer {
  const header = Buffer.alloc(4 + 4 * dims.length);
  header.set([0, 0, 8, dims.length]);
  dims.forEach((dim, i) => {
    header.writeUInt32BE(dim, 4 + 4 * i);
  });
  return Buffer.concat([header, Buffer.from(data)]);
}

let folders = 0;

/** A folder of these files; without contents they are images. */
function folderOf(files: readonly string[] | Readonly<Record<string, Buffer>>): string {
  const folder = path.join(root, `${folders++}`);
  const entries = Array.isArray(files)
    ? (files as string[]).map((name) => [name, ppm()] as const)
    : Object.entries(files);
  for (const [name, content] of entries) {
    mkdirSync(path.join(folder, path.dirname(name)), { recursive: true });
    writeFileSync(path.join(folder, name), content as Buffer);
  }
  return folder;
}

/** Where the parts of a folder are. */
async function partsOf(files: readonly string[]): Promise<object> {
  const folder = folderOf(files);
  const { train, validation, unused } = await within('test', () => findData(folder));
  const name = (part: { folder: string } | undefined) => part && path.relative(folder, part.folder);
  return { train: name(train), validation: name(validation), unused };
}

describe('parts of a folder', () => {
  test.each(['val', 'valid', 'validation', 'test'])('train/ beside %s/', async (name) => {
    expect(await partsOf(['train/cats/1.ppm', `${name}/cats/1.ppm`])).toEqual({
      train: 'train',
      validation: name,
      unused: [],
    });
  });

  test('what is used by neither part is named', async () => {
    const files = ['train/cats/1.ppm', 'val/cats/1.ppm', 'test/cats/1.ppm', '__MACOSX/x/1.ppm', 'notes.txt'];
    expect(await partsOf(files)).toEqual({ train: 'train', validation: 'val', unused: ['test/', 'notes.txt'] });
  });

  test('images to judge on alone', async () => {
    expect(await partsOf(['val/cats/1.ppm'])).toEqual({ train: undefined, validation: 'val', unused: [] });
  });

  test('a class called train', async () => {
    expect(await partsOf(['car/1.ppm', 'plane/1.ppm', 'train/1.ppm'])).toEqual({
      train: '',
      validation: undefined,
      unused: [],
    });
    expect(await partsOf(['car/images/1.ppm', 'train/images/1.ppm'])).toMatchObject({ train: '' });
  });
});

test('images at any depth below their class; hidden folders and __MACOSX are no classes', async () => {
  const folder = folderOf(['cats/images/1.PPM', 'cats/2.ppm', 'dogs/a/b/3.ppm', '__MACOSX/cats/1.ppm', '.git/1.ppm']);
  symlinkSync(path.join(folder, 'cats'), path.join(folder, 'fish'));
  writeFileSync(path.join(folder, 'dogs/Thumbs.db'), 'x');
  const { images, others } = await within('test', () => loadPart({ folder }, {}));
  expect([images.classes, [...images.labels], others]).toEqual([
    ['cats', 'dogs', 'fish'],
    [0, 0, 1, 2, 2],
    [path.join('dogs', 'Thumbs.db')],
  ]);
  expect(classesText(images)).toBe('3 classes of 1 to 2');
  expect(classLines(images)).toBe('  cats 2, dogs 1, fish 2\n');
});

test('folders that lead back to themselves', async () => {
  const folder = folderOf(['cats/1.ppm']);
  symlinkSync(path.join(folder, 'cats'), path.join(folder, 'cats/again'));
  await expectRejection(
    within('test', () => loadPart({ folder }, {})),
    'ERR_LIMIT',
    '8 folders inside each other',
  );
});

test('an image that cannot be read is named, and skipped if asked', async () => {
  const folder = folderOf({ 'cats/1.ppm': ppm(1), 'cats/2.ppm': Buffer.from('P6 9 9 255\nx'), 'dogs/3.ppm': ppm(3) });
  await expectRejection(
    within('test', () => loadPart({ folder }, {})),
    'ERR_INVALID_ARG',
    '2.ppm": expected 243 bytes',
  );
  const part = await within('test', () => loadPart({ folder }, { skipUnreadable: true }));
  expect([[...part.images.images], [...part.images.labels]]).toEqual([
    [1, 1, 1, 3, 3, 3],
    [0, 1],
  ]);
  expect(part.skipped.map(({ path: file }) => path.relative(folder, file))).toEqual([path.join('cats', '2.ppm')]);
  expect(skippedText(part)).toMatch(/^skipped, 1 file that cannot be read:\n {2}.*2\.ppm".*\n$/);
  const bad = folderOf({ 'cats/1.ppm': Buffer.from('P6') });
  await expectRejection(
    within('test', () => loadPart({ folder: bad }, { skipUnreadable: true })),
    'ERR_INVALID_ARG',
    'at least one image that can be read',
  );
});

describe('names of the classes of IDX files', () => {
  const files = {
    'train-images-idx3-ubyte': idx([3, 1, 1], [1, 2, 3]),
    'train-labels-idx1-ubyte': idx([3], [0, 9, 1]),
  };
  const classesOf = async (folder: string, labels?: string[]) =>
    (await within('test', () => loadPart({ folder, split: 'train' }, { ...(labels && { labels }) }))).images.classes;

  test('digits, unless something says otherwise', async () => {
    const folder = folderOf(files);
    expect((await within('test', () => findData(folder))).train).toEqual({ folder, split: 'train' });
    expect(await classesOf(folder)).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
  });

  test('of a file labels.txt, or as they are asked for', async () => {
    const names = Array.from({ length: 10 }, (_, i) => `digit ${i}`);
    const folder = folderOf({ ...files, 'labels.txt': Buffer.from(`${names.join('\n')}\n`) });
    expect(await classesOf(folder)).toEqual(names);
    expect(await classesOf(folder, fashionMnistClasses as string[])).toEqual(fashionMnistClasses);
    await expect(classesOf(folder, ['a', 'b'])).rejects.toThrow('10 names, one for each class of the data, received 2');
  });

  test('of Fashion-MNIST for the images that come with the package', async () => {
    expect(await classesOf(shipped)).toEqual(fashionMnistClasses);
  });

  test('names as other sites give to the same files', async () => {
    const folder = folderOf({
      'train-images.idx3-ubyte': files['train-images-idx3-ubyte'],
      'train-labels.idx1-ubyte': files['train-labels-idx1-ubyte'],
    });
    expect((await within('test', () => findData(folder))).train).toEqual({ folder, split: 'train' });
    expect((await classesOf(folder)).length).toBe(10);
  });
});

test('long lists are counted, and stay within 80 columns', () => {
  const classes = Array.from({ length: 100 }, (_, i) => `class ${i}`);
  const data = new Dataset({ images: new Uint8Array(1), dims: [1, 1, 1], labels: Int32Array.of(99), classes });
  const lines = classLines(data).split('\n');
  expect(lines.slice(-2)).toEqual(['  and 75 more', '']);
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  expect(listText(['a', 'b'])).toBe('a, b');
  expect(listText(Array.from({ length: 1000 }, (_, i) => `${i}`))).toBe('0, 1, 2, 3, 4 and 995 more');
});
