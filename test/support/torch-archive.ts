import { crc32 } from 'node:zlib';
import { parseTorch } from '../../lib/formats/torch';

/** Writes archives as torch.save does, so that a test can then break one thing. */

type Entry = readonly [name: string, data: Buffer];

/** Sizes of the records behind the last entry of the directory. */
export const zip64Bytes = 56 + 20;
export const endBytes = 22;

const bytes = (...fields: readonly (readonly [value: number, size: 2 | 4 | 8])[]): Buffer => {
  const parts = fields.map(([value, size]) => {
    const part = Buffer.alloc(size);
    part.writeUIntLE(value, 0, Math.min(size, 6));
    return part;
  });
  return Buffer.concat(parts);
};

/** A ZIP archive of stored entries, with the records of ZIP64. */
export function zip(entries: readonly Entry[]): Buffer {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, data] of entries) {
    const title = Buffer.from(name);
    const crc = crc32(data);
    const length = data.length;
    const header = bytes(
      [0x04034b50, 4],
      [0, 2],
      [0x808, 2],
      [0, 2],
      [0, 4],
      [0, 4],
      [0, 4],
      [0, 4],
      [title.length, 2],
      [0, 2],
    );
    const descriptor = bytes([0x08074b50, 4], [crc, 4], [length, 4], [length, 4]);
    const local = Buffer.concat([header, title, data, descriptor]);
    const sizes = bytes([crc, 4], [length, 4], [length, 4], [title.length, 2]);
    const rest = bytes([0, 2], [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]);
    directory.push(bytes([0x02014b50, 4], [0, 2], [0, 2], [0x808, 2], [0, 2], [0, 4]), sizes, rest, title);
    locals.push(local);
    offset += local.length;
  }
  const [count, size] = [entries.length, Buffer.concat(directory).length];
  const large = bytes([0x06064b50, 4], [44, 8], [0, 4], [0, 4], [0, 4], [count, 8], [count, 8], [size, 8], [offset, 8]);
  const locator = bytes([0x07064b50, 4], [0, 4], [offset + size, 8], [1, 4]);
  const end = bytes([0x06054b50, 4], [0, 2], [0, 2], [count, 2], [count, 2], [size, 4], [offset, 4], [0, 2]);
  return Buffer.concat([...locals, ...directory, large, locator, end]);
}

/** A file of torch.save: this pickle, and storages by their keys. */
export function torchFile(pickle: Buffer, storages: Record<string, Buffer> = {}): Buffer {
  const data = Object.entries(storages).map(([key, storage]): Entry => [`archive/data/${key}`, storage]);
  return zip([['archive/data.pkl', pickle], ...data, ['archive/version', Buffer.from('3\n')]]);
}

/** Opcodes, as text of one byte per character, or the numbers and texts that they push. */
export type Opcode = string | number | Buffer;

/** A pickle of protocol 2, with its beginning and its end. */
export function pickle(...opcodes: readonly Opcode[]): Buffer {
  return Buffer.concat([Buffer.from('\x80\x02', 'latin1'), ...opcodes.map(encode), Buffer.from('.')]);
}

function encode(opcode: Opcode): Buffer {
  if (typeof opcode === 'string') return Buffer.from(opcode, 'latin1');
  if (typeof opcode !== 'number') return opcode;
  const value = Buffer.alloc(10);
  value.write('\x8a\x08', 'latin1');
  value.writeBigInt64LE(BigInt(opcode), 2);
  return value;
}

/** Pushes a text. */
export function text(value: string): Buffer {
  const content = Buffer.from(value);
  return Buffer.concat([Buffer.from('X'), bytes([content.length, 4]), content]);
}

/** Pushes what `module.name` stands for. */
export function global(module: string, name: string): string {
  return `c${module}\n${name}\n`;
}

/** Pushes a storage: a class of torch, its key and its count of elements. */
export function storage(type: string, key: string, count: number): Opcode[] {
  return ['(', text('storage'), global('torch', type), text(key), text('cpu'), count, 'tQ'];
}

/** Pushes a tensor over the storage that `opcodes` push. */
export function tensor(opcodes: readonly Opcode[], offset: number, dims: number[], strides: number[]): Opcode[] {
  const tuple = (values: number[]): Opcode[] => ['(', ...values, 't'];
  const hooks = [global('collections', 'OrderedDict'), ')R'];
  const rebuild = global('torch._utils', '_rebuild_tensor_v2');
  return [rebuild, '(', ...opcodes, offset, ...tuple(dims), ...tuple(strides), '\x89', ...hooks, 'tR'];
}

/** The six floats 1 to 6, and what refers to them. */
export const numbers: Buffer = Buffer.from(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
export const six: Opcode[] = storage('FloatStorage', '0', 6);

/** A file of one tensor that is no view. */
export const goodPickle: Buffer = pickle(...tensor(six, 1, [2, 2], [1, 2]));
export const good: Buffer = torchFile(goodPickle, { 0: numbers });

/** After a refusal, the next file is read as ever. */
export function expectGoodToWork(): void {
  expect(parseTorch(good)).toEqual({ dtype: 'F32', data: Float32Array.of(2, 4, 3, 5), dims: [2, 2] });
}
