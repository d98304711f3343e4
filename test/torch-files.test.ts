import { readFileSync } from 'node:fs';
import path from 'node:path';
import { QARepVGGBlock, type Tensor } from '../lib';
import { type RawTensor, toFloat32 } from '../lib/formats/dtypes';
import { findStateDict, isRawTensor, parseTorch, readTorch, type TorchValue } from '../lib/formats/torch';
import { expectRefusal } from './support/refusal';

const folder = path.join(__dirname, 'fixtures/torch');
const expected = JSON.parse(readFileSync(path.join(folder, 'expected.json'), 'utf8')) as Record<string, unknown>;
const read = (name: string) => readTorch(path.join(folder, name)) as Promise<Record<string, TorchValue>>;

/** A value as expected.json has it. */
function described(value: TorchValue): unknown {
  if (isRawTensor(value)) {
    return { dtype: value.dtype, dims: value.dims, values: elements(value).map(described) };
  }
  if (Array.isArray(value)) return value.map(described);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'number' && (Object.is(value, -0) || !Number.isFinite(value)))
    return Object.is(value, -0) ? '-0' : `${value}`;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, described(item)]));
}

function elements(tensor: RawTensor): TorchValue[] {
  switch (tensor.dtype) {
    case 'F16':
    case 'BF16':
      return [...toFloat32(tensor, 'test').data];
    case 'BOOL':
      return [...tensor.data].map((value) => value === 1);
    case 'I64':
      return [...tensor.data].map((value) => (Number.isSafeInteger(Number(value)) ? Number(value) : value));
    default:
      return [...tensor.data] as number[];
  }
}

describe('files of PyTorch 1.13', () => {
  test.each(Object.keys(expected))('%s', async (name) => {
    expect(described(await read(name))).toEqual(expected[name]);
  });

  test('the fixtures hold what they are for', () => {
    expect(Object.keys(expected)).toHaveLength(7);
    expect(expected['checkpoint.pt']).toMatchObject({
      epoch: 7,
      args: { lr: 0.1, resume: null, amp: true },
      optimizer: { state: { 0: { momentum_buffer: { dtype: 'F32' } } } },
      lr_scheduler: { milestones: { 30: 1, 60: 1 } },
    });
    expect(expected['views.pt']).toMatchObject({
      transposed: { dims: [4, 3] },
      expanded: { dims: [2, 3] },
      empty: { dims: [0, 3] },
    });
    expect(Object.keys(expected['dtypes.pt'] as object)).toHaveLength(11);
  });

  test('contiguous tensors are views; tensors that shared memory share it', async () => {
    const views = (await read('views.pt')) as Record<string, RawTensor>;
    const { square, rows, transposed } = views as Record<'square' | 'rows' | 'transposed', RawTensor>;
    expect(rows.data.buffer).toBe(square.data.buffer);
    expect(transposed.data.buffer).not.toBe(square.data.buffer);
    rows.data[0] = -1;
    expect(square.data[4]).toBe(-1);
    expect(transposed.data[1]).toBe(4);
  });
});

const refused = [
  ['legacy.pt', 'the older format; save it anew: torch.save(torch.load(path, map_location="cpu"), new_path)'],
  [
    'torchscript.pt',
    'a TorchScript program; save its tensors: torch.save(torch.jit.load(path).state_dict(), new_path)',
  ],
  [
    'module.pt',
    '"torch.nn.modules.linear.Linear", which is not on the list of what is safe to read; save the state dict alone',
  ],
  ['evil.pt', '"posix.system", which is not on the list of what is safe to read'],
  ['protocol4.pt', 'received protocol 4'],
] as const;

describe('files that are refused, with advice', () => {
  test.each(refused)('%s', async (name, message) => {
    const file = readFileSync(path.join(folder, name));
    expectRefusal(() => parseTorch(file, 'reading'), 'ERR_MODEL_FORMAT', message);
    expect(described(await read('parameters.pt'))).toEqual(expected['parameters.pt']);
  });
});

describe('finding the state dict', () => {
  const tensor = (value: number): RawTensor => ({ dtype: 'F32', data: Float32Array.of(value), dims: [1] });
  const nothing = {} as TorchValue;
  const valuesOf = (found: Record<string, Tensor>) => Object.entries(found).map(([name, { data }]) => [name, data[0]]);

  test.each(['state_dict.pt', 'half.pt', 'parameters.pt', 'many.pt'])('%s is one', async (name) => {
    const found = findStateDict(await read(name));
    expect(Object.keys(found)).toEqual(Object.keys(expected[name] as object));
    for (const { data, dims } of Object.values(found)) {
      expect(data).toBeInstanceOf(Float32Array);
      expect(data).toHaveLength(dims.reduce((product, dim) => product * dim, 1));
    }
  });

  test('in a checkpoint: the averaged weights, and the trained ones by name', async () => {
    const checkpoint = await read('checkpoint.pt');
    const names = Object.keys(expected['state_dict.pt'] as object);
    const [average, model] = [findStateDict(checkpoint), findStateDict(checkpoint, { key: 'model' })];
    expect(Object.keys(average)).toEqual(names);
    expect(Object.keys(model)).toEqual(names);
    expect(average['3.bias']).toEqual(
      toFloat32((checkpoint.model_ema as Record<string, RawTensor>)['module.3.bias'] as RawTensor, 'test'),
    );
    expect(model['3.bias']).toEqual(findStateDict(await read('state_dict.pt'))['3.bias']);
    expect(average['3.bias']).not.toEqual(model['3.bias']);
  });

  const order = ['ema_net', 'net', 'model_ema', 'model', 'model_state_dict', 'state_dict'];
  test.each(order.map((name, i) => [name, order.slice(i)] as const))(
    '%s comes before what follows',
    (name, present) => {
      const checkpoint = Object.fromEntries(
        present.toReversed().map((key) => [key, { w: tensor(order.indexOf(key)) }]),
      );
      expect(valuesOf(findStateDict(checkpoint))).toEqual([['w', order.indexOf(name)]]);
    },
  );

  test('names of networks and empty dicts are passed over', () => {
    const checkpoint = {
      net: 'repvgg',
      ema_net: nothing,
      model: { inner: { w: tensor(1) } },
      state_dict: { w: tensor(2) },
    };
    expect(valuesOf(findStateDict(checkpoint))).toEqual([['w', 2]]);
  });

  test('prefixes of wrappers', () => {
    const wrapped = { 'module.module.a': tensor(1), 'module.module.module_list.b': tensor(2), n_averaged: tensor(3) };
    expect(valuesOf(findStateDict(wrapped))).toEqual([
      ['a', 1],
      ['module_list.b', 2],
    ]);
    const halfWrapped = { 'module.a': tensor(1), b: tensor(2), n_averaged: tensor(3) };
    expect(Object.keys(findStateDict(halfWrapped))).toEqual(['module.a', 'b', 'n_averaged']);
  });

  test.each<readonly [title: string, checkpoint: unknown, message: string]>([
    ['a number', 7, 'received 7'],
    ['a tensor', tensor(1), 'received an object'],
    ['a list', [tensor(1)], 'received an array'],
    ['no tensors', { epoch: 1, lr: 0.1 }, 'the keys ["epoch", "lr"]'],
    ['a name of its own', { epoch: 1, best: { w: tensor(1) } }, 'name one as key (--key): ["best"]'],
    ['an empty dict', nothing, 'the keys []'],
  ])('%s has none', (_, checkpoint, message) => {
    expectRefusal(() => findStateDict(checkpoint as TorchValue), 'ERR_MODEL_INCOMPATIBLE', message);
  });

  test('a name that is not there, or that objects have by nature', () => {
    for (const key of ['weights', 'constructor']) {
      const find = () => findStateDict({ a: { w: tensor(1) } }, { key });
      expectRefusal(
        find,
        'ERR_MODEL_INCOMPATIBLE',
        `under "${key}", received the keys ["a"]; name one as key (--key): ["a"]`,
      );
    }
  });

  test('a block loads it', () => {
    const block = new QARepVGGBlock({ inChannels: 2, outChannels: 2 });
    const raw = Object.entries(block.stateDict()).map(([name, { data, dims }]) => [
      `module.${name}`,
      { dtype: 'F32', data, dims },
    ]);
    const checkpoint = { model: Object.fromEntries(raw) as Record<string, RawTensor> };
    expect(block.loadStateDict(findStateDict(checkpoint))).toEqual({ missing: [], unexpected: [] });
  });
});
