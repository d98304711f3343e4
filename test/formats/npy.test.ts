import { within } from '../../lib/errors';
import { parseNpy, serializeNpy } from '../../lib/formats/npy';
import { tensorOf } from '../../lib/graph/tensors';

/** A file of one's own making. */
function npy(header: string, data: Uint8Array, version = 1): Uint8Array {
  const length = version === 1 ? Buffer.alloc(2) : Buffer.alloc(4);
  if (version === 1) length.writeUInt16LE(header.length);
  else length.writeUInt32LE(header.length);
  return Buffer.concat([
    Buffer.from('\x93NUMPY', 'latin1'),
    Buffer.from([version, 0]),
    length,
    Buffer.from(header),
    data,
  ]);
}

const header = (descr: string, shape: string, fortran = 'False') =>
  `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': ${shape}, }\n`;

test('arrays come back as they were', () => {
  for (const type of ['float32', 'uint8', 'int8', 'int32', 'int64', 'bool'] as const) {
    for (const dims of [[], [1], [2, 3], [0, 4]]) {
      const tensor = tensorOf(
        type,
        dims,
        Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => i % 2),
      );
      const bytes = serializeNpy(tensor);
      expect(within('test', () => parseNpy(bytes))).toEqual(tensor);
      expect(Buffer.from(bytes).indexOf('\n') % 64).toBe(63);
    }
  }
});

test('other types become those of graphs', () => {
  const doubles = new Uint8Array(Float64Array.of(1.5, -2).buffer);
  expect(within('test', () => parseNpy(npy(header('<f8', '(2,)'), doubles, 2)))).toEqual(
    tensorOf('float32', [2], [1.5, -2]),
  );
  const shorts = new Uint8Array(Int16Array.of(-7).buffer);
  expect(within('test', () => parseNpy(npy(header('<i2', '()'), shorts)))).toEqual(tensorOf('int32', [], [-7]));
});

test.each([
  ['other files', Buffer.from('P6 1 1 255\n 123'), 'another file'],
  ['big-endian numbers', npy(header('>f4', '(1,)'), new Uint8Array(4)), '">f4"'],
  ['objects', npy(header('|O', '(1,)'), new Uint8Array(8)), '"|O"'],
  ['columns first', npy(header('<f4', '(1,)', 'True'), new Uint8Array(4)), 'column-major'],
  ['too few bytes', npy(header('<f4', '(2,)'), new Uint8Array(4)), '4 bytes for dims [2]'],
  ['too large a product', npy(header('<f4', '(4294967295, 4294967295)'), new Uint8Array(4)), '4 bytes'],
  ['a header that is cut off', npy(header('<f4', '(2,)'), new Uint8Array(0)).subarray(0, 30), 'cut off'],
  ['another version', npy(header('<f4', '(1,)'), new Uint8Array(4), 9), 'version 9'],
  ['no shape', npy("{'descr': '<f4', 'fortran_order': False}", new Uint8Array(4)), 'no shape'],
])('%s are refused', (_, bytes, message) => {
  expect(() => within('test', () => parseNpy(bytes))).toThrow(message);
});
