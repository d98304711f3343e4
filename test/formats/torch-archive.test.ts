import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { ErrorCode } from '../../lib';
import { within } from '../../lib/errors';
import { parseTorch } from '../../lib/formats/torch';
import { outcome } from '../support/formats';
import { expectRefusal } from '../support/refusal';
import { endBytes, expectGoodToWork, good, goodPickle, zip, zip64Bytes } from '../support/torch-archive';

const real = readFileSync(path.join(__dirname, '../fixtures/torch/state_dict.pt'));

/** The good file with bytes overwritten; a negative place counts from the end. */
function patched(at: number, values: readonly number[], file = good): Buffer {
  const copy = Buffer.from(file);
  copy.set(values, at < 0 ? copy.length + at : at);
  return copy;
}

type Row = readonly [title: string, message: string, file: Buffer, code?: ErrorCode];

const end = -endBytes;
const large = -endBytes - zip64Bytes;
const directory = good.indexOf('PK\x01\x02');
const second = good.indexOf('PK\x03\x04', 4);
const secondInDirectory = good.indexOf('PK\x01\x02', directory + 4);
const offsetOf = (at: number) => [...good.subarray(at + 42, at + 46)];
const data = Buffer.from('data');

const archives: readonly Row[] = [
  ['an empty file', 'a file of another kind', Buffer.alloc(0)],
  ['text', 'received a text file', Buffer.from('hello')],
  ['a safetensors file', 'read it with loadModel', Buffer.from('\x02\0\0\0\0\0\0\0{}')],
  ['the beginning of an archive', 'cut off', Buffer.from('PK\x03\x04')],
  ['a byte behind the archive', 'bytes after it', Buffer.concat([good, Buffer.alloc(1)])],
  ['a comment', 'bytes after it', patched(end + 20, [1, 0])],
  ['two disks', 'another place', patched(end + 4, [1, 0])],
  ['a count of its own on this disk', 'another place', patched(end + 8, [9, 0])],
  ['a directory elsewhere', 'another place', patched(end + 16, [1, 0, 0, 0])],
  ['a ZIP64 record that says otherwise', 'another place', patched(large + 48, [1])],
  ['a ZIP64 record of another count', 'another place', patched(large + 32, [9])],
  ['a locator that points elsewhere', 'another place', patched(large + 56 + 8, [1])],
  ['sizes of ZIP64', 'below 4 GiB', patched(end + 12, [255, 255, 255, 255]), 'ERR_LIMIT'],
  ['65,535 entries', 'below 4 GiB', patched(end + 8, [255, 255, 255, 255]), 'ERR_LIMIT'],
  ['a directory of something else', 'an entry of the ZIP directory', patched(directory, [0])],
  ['a name that is cut off', 'a truncated one', patched(secondInDirectory + 28, [255, 255])],
  ['a name that is not UTF-8', 'names in UTF-8', patched(directory + 46, [255])],
  ['compressed data', 'compressed or encrypted', patched(directory + 10, [8])],
  ['encrypted data', 'compressed or encrypted', patched(directory + 8, [9, 8])],
  ['two sizes', 'compressed or encrypted', patched(directory + 20, [1, 0])],
  ['damaged data', 'checksum', patched(good.indexOf('storage'), [0])],
  ['another name at the data', 'the same name', patched(30, [0x62])],
  ['a header that is none', 'a header before its data', patched(second, [0])],
  ['data beyond the directory', 'fewer', patched(directory + 20, [255, 255, 0, 0, 255, 255, 0, 0])],
  ['an entry inside another', 'outside of other entries', patched(secondInDirectory + 42, offsetOf(directory))],
  ['an entry beyond the file', 'a header before its data', patched(directory + 42, [255, 255, 255, 127])],
  [
    'a name twice',
    'each name once',
    zip([
      ['archive/data.pkl', goodPickle],
      ['archive/x', data],
      ['archive/x', data],
    ]),
  ],
  ['no pickle', 'a ZIP archive of other files', zip([['archive/version', data]])],
  [
    'two pickles',
    'received 2',
    zip([
      ['a/data.pkl', goodPickle],
      ['b/data.pkl', goodPickle],
    ]),
  ],
  ['a pickle outside of a folder', 'did not write in this form', zip([['data.pkl', goodPickle]])],
  [
    'another byte order',
    'little-endian',
    zip([
      ['a/data.pkl', goodPickle],
      ['a/byteorder', Buffer.from('big')],
    ]),
  ],
  ['arrays of NumPy', '.npz', zip([['weight.npy', data]])],
  ['a model of Keras', 'a Keras model', zip([['model.weights.h5', data]])],
];

describe('hostile archives', () => {
  test.each(archives.map((row) => [row[0], row] as const))('%s', (_, [, message, file, code = 'ERR_MODEL_FORMAT']) => {
    expectRefusal(() => within('reading', () => parseTorch(file)), code, message);
    expectGoodToWork();
  });
});

describe('damage to a real file', () => {
  const whole = parseTorch(real);

  test('cut off anywhere', () => {
    for (let length = 0; length < real.length; length++) {
      const result = outcome(() => parseTorch(real.subarray(0, length)));
      expect([length, result]).toEqual([length, { code: 'ERR_MODEL_FORMAT' }]);
    }
    expectGoodToWork();
  });

  test('any byte changed: refused, or read as before', () => {
    const codes = new Set<string>();
    for (let at = 0; at < real.length; at++) {
      for (const flip of [1, 128, 255]) {
        const result = outcome(() => parseTorch(patched(at, [(real[at] as number) ^ flip], real)));
        if (typeof (result as { code: unknown }).code === 'string') codes.add((result as { code: string }).code);
        else expect([at, result]).toEqual([at, whole]);
      }
    }
    expect([...codes].sort()).toEqual(['ERR_MODEL_FORMAT']);
    expectGoodToWork();
  });
});
