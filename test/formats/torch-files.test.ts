import { readFileSync } from 'node:fs';
import path from 'node:path';
import { QARepVGGBlock, type Tensor } from '../../lib';
import { within } from '../../lib/errors';
import type { RawTensor } from '../../lib/formats/dtypes';
import { tensorsToFloat32 } from '../../lib/formats/float32';
import {
  type FindStateDictOptions,
  findStateDict as findInSteps,
  isRawTensor,
  Opaque,
  parseTorch,
  readTorch,
  type TorchValue,
} from '../../lib/formats/torch';
import { atOnce } from '../../lib/slices';
import { expectRefusal } from '../support/refusal';

const folder = path.join(__dirname, '../fixtures/torch');
const expected = JSON.parse(readFileSync(path.join(folder, 'expected.json'), 'utf8')) as Record<string, unknown>;
const read = (name: string) => readTorch(path.join(folder, name)) as Promise<Record<string, TorchValue>>;

const toFloat32 = (tensor: RawTensor): Tensor =>
  within('test', () => atOnce(tensorsToFloat32([['t', tensor]]))).t as Tensor;

const find = (checkpoint: TorchValue, options?: FindStateDictOptions) =>
  within('test', () => atOnce(findInSteps(checkpoint, options)));

const findStateDict = (checkpoint: TorchValue, options?: FindStateDictOptions) => find(checkpoint, options).tensors;

/** A value as expected.json has it. */
function described(value: TorchValue): unknown {
  if (value instanceof Opaque) return { opaque: value.name };
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
      return [...toFloat32(tensor).data];
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

describe('files of other formats', () => {
  test('a TorchScript program is refused, with advice', () => {
    const file = readFileSync(path.join(folder, 'torchscript.pt'));
    const advice = 'a TorchScript program; save its tensors: torch.save(torch.jit.load(path).state_dict(), new_path)';
    expectRefusal(() => within('reading', () => parseTorch(file)), 'ERR_MODEL_FORMAT', advice);
  });

  test.each(['protocol4.pt', 'protocol5.pt'])('%s holds what protocol 2 holds', async (name) => {
    expect(described(await read(name))).toEqual(described(await read('protocol2.pt')));
  });

  test('the format before PyTorch 1.6', async () => {
    const { tensors } = find(await read('legacy.pt'));
    expect(tensors).toMatchObject({
      weight: { data: Float32Array.of(0, 1), dims: [2] },
      square: { data: Float32Array.of(0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11), dims: [4, 3] },
      half: { data: Float32Array.of(0.5, -2) },
      count: { data: Float32Array.of(3), dims: [] },
    });
  });

  test('the format before PyTorch 1.6, cut off anywhere or with a byte more, is refused', () => {
    const file = readFileSync(path.join(folder, 'legacy.pt'));
    for (let length = 0; length < file.length; length++) {
      expectRefusal(() => parseTorch(file.subarray(0, length)), 'ERR_MODEL_FORMAT', 'expected');
    }
    expectRefusal(() => parseTorch(Buffer.concat([file, Buffer.alloc(1)])), 'ERR_MODEL_FORMAT', '1 more bytes');
  });
});

describe('what is not understood is opaque, and nothing is executed', () => {
  test.each(['odd.pt', 'odd_protocol4.pt'])('%s: 26 strange values beside a state dict', async (name) => {
    const { state_dict: _, ...others } = await read(name);
    expect(Object.keys(others)).toHaveLength(26);
    const found = find(await read(name));
    expect(found).toMatchObject({ key: 'state_dict', tensors: { weight: { data: Float32Array.of(0, 1) } } });
    const opaque = Object.keys(others).filter((key) => others[key] instanceof Opaque);
    expect(opaque).toHaveLength(26 - ['set', 'frozenset', 'defaultdict', 'counter', 'size', 'keys'].length);
    expect(others).toMatchObject({ set: [1, 2], defaultdict: { a: [1] }, counter: { a: 2, b: 1 }, size: [1, 2] });
  });

  test('a call of os.system', async () => {
    const { hook } = await read('evil.pt');
    expect(hook).toBeInstanceOf(Opaque);
    expect(hook).toMatchObject({ name: 'posix.system' });
    expect(Object.keys(findStateDict(await read('evil.pt')))).toEqual(['weight']);
  });

  test.each(['module.pt', 'legacy_module.pt'])('%s: the tensors of a pickled module', async (name) => {
    const found = find(await read(name));
    expect(found.tensors).toEqual(findStateDict(await read('module_state.pt')));
    expect(Object.keys(found.tensors)).not.toContain('helper');
    expect(found.traits).toEqual({ eps: '0.00001' });
  });

  test('complex tensors are left out and named; inside a state dict anything else is refused', async () => {
    expect(find(await read('complex.pt'))).toMatchObject({ tensors: { weight: { dims: [2] } }, unread: ['phase'] });
    const { weight } = (await read('complex.pt')) as Record<string, RawTensor>;
    const { hook } = await read('evil.pt');
    const message = 'received a dict with "hook", posix.system';
    for (const options of [{}, { key: 'model' }]) {
      const checkpoint = { model: { weight, hook } } as TorchValue;
      expectRefusal(
        () => find('key' in options ? checkpoint : ({ weight, hook } as TorchValue), options),
        'ERR_MODEL_INCOMPATIBLE',
        message,
      );
    }
    expect(Object.keys(findStateDict({ weight, 'a._extra_state': hook } as TorchValue))).toEqual(['weight']);
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
      toFloat32((checkpoint.model_ema as Record<string, RawTensor>)['module.3.bias'] as RawTensor),
    );
    expect(model['3.bias']).toEqual(findStateDict(await read('state_dict.pt'))['3.bias']);
    expect(average['3.bias']).not.toEqual(model['3.bias']);
  });

  const averaged = [
    'ema_net',
    'model_ema',
    'state_dict_ema',
    'ema',
    'ema_state_dict',
    'ema_model',
    'params_ema',
    'shadow',
  ];
  const trained = ['net', 'model', 'model_state_dict', 'state_dict', 'params'];
  test.each(averaged.flatMap((ema) => trained.map((plain) => [ema, plain])))(
    '%s comes before %s, and both are named',
    (ema, plain) => {
      const checkpoint = { [plain]: { w: tensor(1) }, [ema]: { w: tensor(2) }, epoch: 3, other: { w: tensor(4) } };
      const found = find(checkpoint);
      expect(found).toMatchObject({
        key: ema,
        candidates: [ema, plain, 'other'],
        tensors: { w: { data: Float32Array.of(2) } },
      });
      expect(find(checkpoint, { key: plain })).toMatchObject({
        key: plain,
        tensors: { w: { data: Float32Array.of(1) } },
      });
    },
  );

  test('state dicts in dicts of their own, as DETR saves averages', () => {
    const checkpoint = { model: { w: tensor(1) }, ema: { module: { w: tensor(2) }, updates: 7 } };
    expect(find(checkpoint)).toMatchObject({ key: 'ema.module', candidates: ['ema.module', 'model'] });
    expect(valuesOf(findStateDict(checkpoint, { key: 'ema.module' }))).toEqual([['w', 2]]);
    expectRefusal(() => find(checkpoint, { key: 'ema.mod' }), 'ERR_MODEL_INCOMPATIBLE', 'under "ema.mod"');
  });

  test('MMEngine swaps the two when it saves', () => {
    const checkpoint = {
      message_hub: {},
      state_dict: { w: tensor(1) },
      ema_state_dict: { w: tensor(2) },
    } as TorchValue;
    expect(find(checkpoint)).toMatchObject({ key: 'state_dict', candidates: ['state_dict', 'ema_state_dict'] });
  });

  test('a name with 100,000 wrappers', () => {
    const found = find({ [`${'module.'.repeat(100_000)}w`]: tensor(1) });
    expect(Object.keys(found.tensors)).toEqual(['w']);
    expect(found.prefix).toHaveLength(700_000);
  });

  test('names of networks and empty dicts are skipped', () => {
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
    expect(find(wrapped).prefix).toBe('module.module.');
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
      expectRefusal(
        () => find({ a: { w: tensor(1) } }, { key }),
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
