import fc from 'fast-check';
import type { ErrorCode } from '../../lib';
import { within } from '../../lib/errors';
import { Opaque, parseTorch, type TorchValue } from '../../lib/formats/torch';
import { outcome } from '../support/formats';
import { expectRefusal } from '../support/refusal';
import {
  expectGoodToWork,
  global,
  numbers,
  type Opcode,
  pickle,
  six,
  storage,
  tensor,
  text,
  torchFile,
} from '../support/torch-archive';

type Row = readonly [title: string, message: string, file: Buffer, code?: ErrorCode];

const odd = { 0: numbers, 1: Buffer.alloc(7) };
const row = (title: string, message: string, opcodes: readonly Opcode[], code?: ErrorCode): Row => {
  const file = torchFile(pickle(...opcodes), odd);
  return code ? [title, message, file, code] : [title, message, file];
};
const raw = (title: string, message: string, bytes: string): Row => [
  title,
  message,
  torchFile(Buffer.from(bytes, 'latin1')),
];
const refusedTensor = (title: string, message: string, ...args: Parameters<typeof tensor>): Row =>
  row(title, message, tensor(...args));
const dict = global('collections', 'OrderedDict');
const namespace = global('argparse', 'Namespace');

const pickles: readonly Row[] = [
  raw('an empty pickle', '1 more bytes', ''),
  raw('no end', '1 more bytes', '\x80\x02N'),
  raw('protocol 1', 'protocol 1', '\x80\x01N.'),
  raw('protocol 6', 'protocol 6', '\x80\x06N.'),
  row('bytes behind the end', 'the end of the pickle', ['N', '.']),
  row('two values', 'the end of the pickle', ['NN']),
  row('no value', '1 values on the stack', []),
  row('a mark at the end', 'the end of the pickle', ['N(N']),
  row('a tuple of values that are not there', '3 values', ['NN\x87']),
  row('values below a mark', '2 values', ['NN(N\x86']),
  row('a tuple without a mark', 'a mark', ['Nt']),
  row('a value that was never remembered', 'number 3', ['h\x03']),
  row('nothing to remember', 'a value to remember', ['q\x00']),
  row('a text longer than the file', 'more bytes', ['X\xff\xff\xff\x7f']),
  row('a name that is not UTF-8', 'UTF-8', ['c\xff\nx\n']),
  row('a name that is no text', 'the name of a module', ['NN\x93']),
  row('a name without end', 'a line of at most 200', [`c${'a'.repeat(300)}`]),
  row('a number in pieces', '255 more bytes', ['\x8a\xff']),
  row('an item for what is no list', 'a list', ['}Na']),
  row('a member for what is no dict', 'a dict', [']NNs']),
  row('a member for a tensor', 'a dict', [...tensor(six, 0, [6], [1]), text('data'), 'Ns']),
  row('a key without a value', 'a dict', ['}(Nu']),
  row('a call of a text', 'a class or function', [text('print'), ')R']),
  row('a call without arguments', 'its arguments', [dict, 'NR']),
  row('a dict of what are no pairs', 'pairs in a dict', [dict, ']K\x01a\x85R']),
  row('a state for a number', 'attributes', ['K\x01}b']),
  row('a state for nothing', 'attributes', ['N}b']),
  row('200,000 marks', '100000 unfinished', ['('.repeat(200_000)], 'ERR_LIMIT'),
  row('200,000 values', '100000 unfinished', ['N'.repeat(200_000)], 'ERR_LIMIT'),
  row('a reference to nothing', 'a reference to a storage', ['NQ']),
  row('a storage of no class', 'a reference to a storage', ['(', text('storage'), 'N', text('0'), 'NNtQ']),
  row('a class where a storage is meant', 'a reference to a storage', ['(', text('storage'), dict, text('0'), 'NNtQ']),
  row('a storage that is not there', 'the data of storage "9"', storage('FloatStorage', '9', 1)),
  row('a storage of 7 bytes', 'received 7 bytes', storage('FloatStorage', '1', 1)),
  row('a storage of another size', '7 elements of torch.FloatStorage, 28 bytes', storage('FloatStorage', '0', 7)),
  row('a storage of two types', '6 elements of torch.FloatStorage', [
    '(',
    ...six,
    ...storage('IntStorage', '0', 6),
    't',
  ]),
  refusedTensor('a tensor without a storage', 'a tensor (storage', ['N'], 0, [1], [1]),
  refusedTensor('a tensor that starts behind its storage', 'inside its storage', six, 7, [0], [1]),
  refusedTensor('a tensor that ends behind it', 'inside its storage', six, 2, [5], [1]),
  refusedTensor('a tensor that steps out of it', 'inside its storage', six, 0, [2, 3], [4, 1]),
  refusedTensor('strides whose product wraps', 'inside its storage', six, 0, [2 ** 40, 2 ** 40], [2 ** 40, 1]),
  refusedTensor('a negative offset', 'a tensor (storage', six, -1, [1], [1]),
  refusedTensor('negative dims', 'a tensor (storage', six, 0, [-1], [1]),
  refusedTensor('fewer strides than dims', 'a tensor (storage', six, 0, [1, 1], [1]),
  refusedTensor('65 dims', 'a tensor (storage', six, 0, Array(65).fill(1), Array(65).fill(1)),
  row('8 GB made of one number', 'objects of at most', tensor(six, 0, [2 ** 31], [0]), 'ERR_LIMIT'),
  row('2^80 bytes made of one number', 'objects of at most', tensor(six, 0, [2 ** 40, 2 ** 40], [0, 0]), 'ERR_LIMIT'),
  row(
    '100 times 4 MB made of one number',
    'objects of at most',
    [
      '(',
      ...Array(100)
        .fill(tensor(six, 0, [2 ** 20], [0]))
        .flat(),
      't',
    ],
    'ERR_LIMIT',
  ),
  row('a dict that a thousand objects repeat', 'objects of at most', manyAttributes(), 'ERR_LIMIT'),
];

/** 500 attributes, given to 2000 objects. */
function manyAttributes(): Opcode[] {
  const members = Array.from({ length: 500 }, (_, i) => [text(`a${i}`), 'N']).flat();
  return ['}q\x00(', ...members, 'u', namespace, 'q\x01', 'h\x01)\x81h\x00b'.repeat(2000)];
}

describe('hostile pickles', () => {
  test.each(pickles.map((entry) => [entry[0], entry] as const))(
    '%s',
    (_, [, message, file, code = 'ERR_MODEL_FORMAT']) => {
      expectRefusal(() => within('reading', () => parseTorch(file)), code, message);
      expectGoodToWork();
    },
  );

  test.each([
    ['os', 'system'],
    ['posix', 'system'],
    ['builtins', 'eval'],
    ['__builtin__', 'getattr'],
    ['subprocess', 'Popen'],
    ['torch', 'load'],
    ['torch', '__proto__'],
    ['collections', 'OrderedDict.__reduce__'],
    ['', 'constructor'],
  ])('the name %s.%s', (module, name) => {
    const file = torchFile(pickle(global(module, name), '(', text('echo'), 'tR'));
    expect(parseTorch(file)).toBeInstanceOf(Opaque);
    expect(parseTorch(file)).toMatchObject({ name: `${module}.${name}` });
    expectGoodToWork();
  });

  test('every opcode that torch.save does not write', () => {
    const known =
      '\x80\x95N\x88\x89KMJ\x8a\x8bGX\x8c\x8dUTCB\x8e\x96(012)\x85\x86\x87t]ae}su\x8f\x90\x91qr\x94hjc\x93R\x81\x92bQ.';
    for (let code = 0; code < 256; code++) {
      const opcode = String.fromCharCode(code);
      if (known.includes(opcode)) continue;
      expectRefusal(
        () => parseTorch(torchFile(pickle(opcode))),
        'ERR_MODEL_FORMAT',
        'an opcode that torch.save writes',
      );
    }
    expectGoodToWork();
  });
});

test('names that objects have by nature', () => {
  const value = parseTorch(
    torchFile(pickle('}(', text('__proto__'), '}', text('x'), 'K\x01s', text('constructor'), 'Nu')),
  );
  expect(Object.keys(value as object)).toEqual(['__proto__', 'constructor']);
  expect((value as Record<string, TorchValue>).toString).toBeUndefined();
  expect(({} as Record<string, unknown>).x).toBeUndefined();
});

test('keys that are no names make an entry opaque, not the dict', () => {
  const fraction = 'G\x3f\xe0\0\0\0\0\0\0';
  const value = parseTorch(
    torchFile(
      pickle(
        '}(',
        text('good'),
        'K\x01',
        fraction,
        'N\x88N)NNN',
        text('1'),
        'NK\x01N',
        text('twice'),
        'N',
        text('twice'),
        'Nu',
      ),
    ),
  ) as Record<string, TorchValue>;
  expect(value.good).toBe(1);
  expect(Object.keys(value)).toEqual(['1', 'good', 'key 0.5', 'key true', 'key an array', 'key null', 'twice']);
  for (const name of ['1', 'key 0.5', 'key true', 'twice']) expect(value[name]).toBeInstanceOf(Opaque);
});

test('texts that are not UTF-8, long ones and bytes are opaque', () => {
  const long = text('a'.repeat(2 ** 20 + 1));
  const value = parseTorch(torchFile(pickle('(X\x01\0\0\0\xffC\x02ab', long, 't'))) as TorchValue[];
  expect(value.map((item) => (item as Opaque).name)).toEqual([
    'a text that is not UTF-8',
    'builtins.bytes',
    'a long text',
  ]);
});

test('a list in itself', () => {
  const value = parseTorch(torchFile(pickle(']q\x00h\x00a'))) as TorchValue[];
  expect(value[0]).toBe(value);
});

test('opcodes in any order: refused or read, never anything else', () => {
  const simple = [
    'N',
    '\x88',
    'K\x01',
    'M\x01\x02',
    'J\xff\xff\xff\xff',
    '(',
    ')',
    '\x85',
    '\x86',
    '\x87',
    't',
    ']',
    'a',
    'e',
  ];
  const others = ['}', 's', 'u', 'q\x00', 'q\x01', 'h\x00', 'h\x01', 'R', '\x81', 'b', 'Q', dict, namespace];
  const rebuild = global('torch._utils', '_rebuild_tensor_v2');
  const whole = [tensor(six, 0, [2], [1]), six, [dict, ')R'], [namespace, ')\x81'], [rebuild]];
  const piece = fc.constantFrom<Opcode[]>(
    ...[...simple, ...others, text('a'), text('b')].map((opcode) => [opcode]),
    ...whole,
  );
  let read = 0;
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const result = outcome(() => [parseTorch(torchFile(pickle(...pieces.flat()), odd))]);
      if (Array.isArray(result)) read++;
      else expect(result.code).toBe('ERR_MODEL_FORMAT');
    }),
    { numRuns: 5000 },
  );
  expect(read).toBeGreaterThan(50);
  expectGoodToWork();
});
