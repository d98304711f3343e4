import fc from 'fast-check';
import type { Op } from '../../binding';
import { Conv2d, randn } from '../../lib';
import { within } from '../../lib/errors';
import { inferShapes } from '../../lib/graph/shapes';
import { expectRefusal } from '../support/refusal';

const side = fc.integer({ min: 1, max: 12 });

test('inferred dims are those that the native core computes', () => {
  const conv = fc.record({
    kernelSize: fc.constantFrom(1, 3),
    stride: fc.constantFrom(1, 2),
    padding: fc.integer({ min: 0, max: 4 }),
    dilation: fc.integer({ min: 1, max: 3 }),
  }) as fc.Arbitrary<{ kernelSize: 1 | 3; stride: 1 | 2; padding: number; dilation: number }>;
  fc.assert(
    fc.property(conv, side, side, (options, h, w) => {
      const op: Op = {
        op: 'conv',
        input: 0,
        outChannels: 5,
        kernel: options.kernelSize,
        groups: 1,
        weight: 0,
        ...options,
      };
      const layer = new Conv2d({ inChannels: 2, outChannels: 5, ...options });
      const x = randn([3, 2, h, w]);
      let inferred: number[] | undefined;
      try {
        inferred = within('test', () => inferShapes([op], x.dims, false))[1];
      } catch {
        expectRefusal(() => layer.forward(x), 'ERR_SHAPE', `received ${h} x ${w}`);
        return;
      }
      expect(layer.forward(x).dims).toEqual(inferred);
    }),
    { numRuns: 300, seed: 1 },
  );
});

test('all ops', () => {
  const ops: Op[] = [
    { op: 'conv', input: 0, outChannels: 4, kernel: 3, stride: 2, padding: 1, dilation: 1, groups: 1, weight: 0 },
    { op: 'averagePool', input: 1 },
    { op: 'add', inputs: [1, 2] },
    { op: 'scale', input: 3, factor: 0 },
    { op: 'relu', input: 4 },
    { op: 'globalAverage', input: 5 },
  ];
  const inner = [2, 4, 4, 3];
  const shapes = within('test', () => inferShapes(ops, [2, 3, 7, 5], true));
  expect(shapes).toEqual([[2, 3, 7, 5], inner, inner, inner, inner, inner, [2, 4, 1, 1]]);
});

test('outputs of more than 2^53 bytes are refused', () => {
  const op: Op = {
    ...{ op: 'conv', input: 0, outChannels: 65536, kernel: 1 },
    ...{ stride: 1, padding: 0, dilation: 1, groups: 1, weight: 0 },
  };
  expectRefusal(
    () => within('test', () => inferShapes([op], [2 ** 20, 1, 2 ** 10, 2 ** 10], false)),
    'ERR_SIZE_OVERFLOW',
    'conv',
  );
});
