import fc from 'fast-check';
import { Conv2d, randn } from '../../lib';

import { expectRefusal } from '../support/refusal';

const side = fc.integer({ min: 1, max: 12 });

test('a convolution has as many outputs as its kernel has positions, and refuses an image without one', () => {
  const conv = fc.record({
    kernelSize: fc.constantFrom(1, 3),
    stride: fc.constantFrom(1, 2),
    padding: fc.integer({ min: 0, max: 4 }),
    dilation: fc.integer({ min: 1, max: 3 }),
  }) as fc.Arbitrary<{ kernelSize: 1 | 3; stride: 1 | 2; padding: number; dilation: number }>;
  fc.assert(
    fc.property(conv, side, side, (options, h, w) => {
      const { kernelSize, stride, padding, dilation } = options;
      const positions = (length: number): number =>
        Math.floor((length + 2 * padding - dilation * (kernelSize - 1) - 1) / stride) + 1;
      const layer = new Conv2d({ inChannels: 2, outChannels: 5, ...options });
      const x = randn([3, 2, h, w]);
      if (positions(h) < 1 || positions(w) < 1) {
        expectRefusal(() => layer.forward(x), 'ERR_SHAPE', `received ${h} x ${w}`);
      } else {
        expect(layer.forward(x).dims).toEqual([3, 5, positions(h), positions(w)]);
      }
    }),
    { numRuns: 300, seed: 1 },
  );
});
