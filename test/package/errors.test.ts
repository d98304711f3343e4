import vm from 'node:vm';
import { Conv2d, createModel, InferenceSession, QARepVGGError, Trainer, tensor } from '../../lib';
import {
  boundary,
  describe as describeValue,
  failure,
  leaving,
  mismatch,
  placed,
  recoded,
  stepsWithin,
  within,
} from '../../lib/errors';
import { atOnce } from '../../lib/slices';
import { randomNetwork, tiny } from '../support/networks';

describe('QARepVGGError', () => {
  const error = new QARepVGGError('ERR_SHAPE', 'a message', { cause: 'a cause' });

  test('carries code, name, message, cause and stack', () => {
    expect(error).toMatchObject({ code: 'ERR_SHAPE', message: 'a message', cause: 'a cause' });
    expect(String(error)).toBe('QARepVGGError: a message');
    expect(error.stack).toContain('errors.test.ts');
  });

  test('is recognised by brand, so across copies of the package too', () => {
    jest.isolateModules(() => {
      const copy = require('../../lib/errors') as typeof import('../../lib/errors');
      expect(copy.QARepVGGError).not.toBe(QARepVGGError);
      expect(new copy.QARepVGGError('ERR_SHAPE', '')).toBeInstanceOf(QARepVGGError);
    });
  });

  test.each([new Error('plain'), { code: 'ERR_SHAPE' }, null, 'ERR_SHAPE', undefined])('%p is none', (value) => {
    expect(value).not.toBeInstanceOf(QARepVGGError);
  });
});

test('an option at fault is named by a field', async () => {
  const session = InferenceSession.create(randomNetwork('qarepvgg_a0').switchToDeploy(), { threads: 0 });
  await expect(session).rejects.toMatchObject({ code: 'ERR_INVALID_ARG', option: 'threads' });
  for (const [name, make] of [
    ['eps', () => createModel('qarepvgg_a0', { eps: 0 })],
    ['labels', () => createModel('qarepvgg_a0', { numClasses: 2, labels: ['a'] })],
    ['channels', () => createModel('qarepvgg_b1g4', { channels: [1, 1, 2, 3, 4] })],
    ['groups', () => new Conv2d({ inChannels: 2, outChannels: 3, groups: 2 })],
    ['customL2', () => new Trainer(createModel('qarepvgg_a0', tiny), { customL2: true })],
  ] as const) {
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG', option: name }));
  }
  expect(() => tensor([1], [2])).toThrow(expect.not.objectContaining({ option: expect.anything() }));
});

test('the pattern of messages', () => {
  expect(mismatch('ERR_SHAPE', 'f, input dims[1]', '3 channels', '5')).toMatchObject({
    code: 'ERR_SHAPE',
    message: 'f, input dims[1]: expected 3 channels, received 5',
  });
});

function caught(call: () => unknown): QARepVGGError {
  try {
    call();
  } catch (error) {
    return error as QARepVGGError;
  }
  throw new Error('nothing was thrown');
}

describe('an error on its way out', () => {
  const cause = new Error('a cause');
  const fail = (): never => {
    throw Object.assign(failure('ERR_SHAPE', 'expected a, received b', { cause }), { option: 'size', status: 503 });
  };

  test('collects its places, the outer ones first', () => {
    const error = caught(() => boundary('f', () => within('inputs[1]', () => within('dims', fail))));
    expect(error).toMatchObject({ message: 'f, inputs[1], dims: expected a, received b', code: 'ERR_SHAPE' });
    expect(error).toMatchObject({ option: 'size', status: 503, cause });
  });

  test.each([
    [' dims', 'f, input dims: expected a, received b'],
    ['[2]', 'f, input[2]: expected a, received b'],
    ['.size', 'f, input.size: expected a, received b'],
    ['dims', 'f, input, dims: expected a, received b'],
  ])('joins %j', (place, message) => {
    expect(caught(() => boundary('f', () => within('input', () => within(place, fail)))).message).toBe(message);
  });

  test('keeps its stack, which begins with the whole message', () => {
    const { stack } = caught(() => boundary('f', () => within('$&', fail)));
    expect(stack?.split('\n')[0]).toBe('QARepVGGError: f, $&: expected a, received b');
    expect(stack).toMatch(/at fail .*errors\.test\.ts/);
  });

  test('has the name of the first public function that it leaves', () => {
    const inner = () => boundary('inner', fail);
    const error = caught(() => boundary('outer', () => within('option a', inner)));
    expect(error.message).toBe('inner: expected a, received b');
    expect(Object.getOwnPropertySymbols(error)).toEqual([]);
  });

  test('is one that this package made: those of the caller pass as they are', () => {
    const own = [new QARepVGGError('ERR_SHAPE', 'mine'), new TypeError('mine'), 'mine', null, undefined];
    for (const thrown of own) {
      const call = () =>
        within('place', () => {
          throw thrown;
        });
      expect(caught(() => boundary('f', call))).toBe(thrown);
    }
    expect(own[0]).toMatchObject({ message: 'mine' });
  });

  test('may reject a promise, or end work in steps', async () => {
    const rejected = boundary('f', () => within('later', async () => fail()));
    await expect(rejected).rejects.toMatchObject({ message: 'f, later: expected a, received b' });
    await expect(boundary('f', async () => 3)).resolves.toBe(3);
    // biome-ignore lint/correctness/useYield: fails before its first step
    const steps = function* (): Generator<undefined, number> {
      return fail();
    };
    expect(caught(() => atOnce(stepsWithin('steps', steps()))).message).toBe('steps: expected a, received b');
  });

  test('may come from another copy of the package', () => {
    jest.isolateModules(() => {
      const copy = require('../../lib/errors') as typeof import('../../lib/errors');
      expect(caught(() => copy.boundary('f', () => copy.within('a', () => within('b', fail)))).message).toBe(
        'f, a, b: expected a, received b',
      );
    });
  });

  test('may get another code, without the option', () => {
    const error = recoded('ERR_MODEL_FORMAT', placed('metadata', caught(fail)));
    expect(placed('"file"', error).message).toBe('"file", metadata: expected a, received b');
    expect(error).toMatchObject({ code: 'ERR_MODEL_FORMAT' });
    expect(error.option).toBeUndefined();
  });

  test('tells lack of memory that the C++ wrapper of Node reports', () => {
    const thrown = new Error('std::bad_alloc');
    expect(leaving('f', thrown)).toMatchObject({
      code: 'ERR_OUT_OF_MEMORY',
      message: 'f: out of memory',
      cause: thrown,
    });
  });
});

test('errors of the addon begin with the public function, too', async () => {
  const session = await InferenceSession.create(randomNetwork('qarepvgg_a0').switchToDeploy());
  session.dispose();
  await expect(session.run({} as never)).rejects.toThrow(/^InferenceSession\.run: session has been disposed$/);
  const { addon } = require('../../lib/binding') as typeof import('../../lib/binding');
  const native = caught(() => addon.extent('text' as never));
  expect(native).toBeInstanceOf(QARepVGGError);
  expect(placed('f', native)).toMatchObject({ message: expect.stringMatching(/^f: /) });
});

describe('describing values', () => {
  const never = (): never => {
    throw new Error('must not run');
  };
  const trap = new Proxy({}, { get: never, has: never, getPrototypeOf: never });

  test.each([
    [3, '3'],
    [-0, '-0'],
    [Number.NaN, 'NaN'],
    [5n, '5n'],
    ['a\n', '"a\\n"'],
    ['x'.repeat(60), `"${'x'.repeat(48)}..."`],
    [undefined, 'undefined'],
    [null, 'null'],
    [Symbol('s'), 'a symbol'],
    [never, 'a function'],
    [trap, 'a Proxy'],
    [new Float64Array(1), 'a Float64Array'],
    [Object.setPrototypeOf(new Uint8Array(1), Float32Array.prototype), 'a Uint8Array'],
    [vm.runInNewContext('new Float64Array(1)'), 'a Float64Array'],
    [new DataView(new ArrayBuffer(1)), 'a DataView'],
    [new SharedArrayBuffer(1), 'a SharedArrayBuffer'],
    [new ArrayBuffer(1), 'an ArrayBuffer'],
    [[1], 'an array'],
    [new Map(), 'a Map'],
    [Promise.resolve(), 'a Promise'],
    [{ toString: never, [Symbol.toPrimitive]: never }, 'an object'],
  ])('%#', (value, text) => {
    expect(describeValue(value)).toBe(text);
  });
});
