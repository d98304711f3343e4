import vm from 'node:vm';
import { Conv2d, createModel, InferenceSession, QARepVGGError, Trainer, tensor } from '../../lib';
import { describe as describeValue, mismatch } from '../../lib/errors';
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
