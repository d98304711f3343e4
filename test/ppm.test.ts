import { readPpm } from '../lib/formats/ppm';
import { expectRefusal } from './support/refusal';

function file(header: string, ...pixels: number[]): Uint8Array {
  return Buffer.concat([Buffer.from(header, 'latin1'), Buffer.from(pixels)]);
}

test.each(['P6\n2 1\n255\n', 'P6 2 1 255 ', 'P6\n# a comment\n2\n#\n1\n# more\n255\n'])(
  'reads %j as planes from 0 to 1',
  (header) => {
    const { data, dims } = readPpm(file(header, 255, 0, 51, 102, 255, 0), 'image');
    expect(dims).toEqual([1, 3, 1, 2]);
    expect(data).toEqual(new Float32Array([1, 0.4, 0, 1, 0.2, 0]));
  },
);

test('pixels may look like white space', () => {
  expect(readPpm(file('P6\n1 1\n255\n', 10, 32, 13), 'image').dims).toEqual([1, 3, 1, 1]);
});

test.each([
  ['empty', file('')],
  ['text', file('P3\n1 1\n255\n1 2 3')],
  ['grey', file('P5\n1 1\n255\n', 1)],
  ['16 bits', file('P6\n1 1\n65535\n', 0, 0, 0, 0, 0, 0)],
  ['no width', file('P6\n1\n255\n', 0, 0, 0)],
  ['width 0', file('P6\n0 1\n255\n')],
  ['a negative width', file('P6\n-1 1\n255\n', 0, 0, 0)],
  ['a huge width', file('P6\n100000 1\n255\n', 0, 0, 0)],
  ['one byte short', file('P6\n1 1\n255\n', 0, 0)],
  ['one byte long', file('P6\n1 1\n255\n', 0, 0, 0, 0)],
  ['huge but short', file('P6\n99999 99999\n255\n', 0)],
  ['an endless comment', file(`P6\n#${'x'.repeat(10_000)}\n1 1\n255\n`, 0, 0, 0)],
])('refuses a file: %s', (_, bytes) => {
  expectRefusal(() => readPpm(bytes, 'image.ppm'), 'ERR_INVALID_ARG', 'image.ppm');
});
