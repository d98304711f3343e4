import { Conv2d, tensor, verifyEquivalence } from '../../lib';

/** A 1x1 convolution of one channel: multiplies by `weight`. */
function times(weight: number): Conv2d {
  const conv = new Conv2d({ inChannels: 1, outChannels: 1, kernelSize: 1, bias: false }).eval();
  conv.parameters().weight?.data.set([weight]);
  return conv;
}

test('the three measures are what they say', () => {
  const inputs = [tensor([3, 4, 0], [1, 1, 1, 3]), tensor([1, 0, 0], [1, 1, 1, 3])];
  const { samples, blocks, whole } = verifyEquivalence(times(2), times(2.5), { inputs });
  // Outputs (6, 8, 0) against (7.5, 10, 0): differences 1.5 and 2. The second input differs less.
  expect(whole).toEqual({ name: 'Conv2d', maxAbsolute: 2, maxRelative: 2 / 8, relativeL2: 2.5 / 10 });
  expect(blocks).toEqual([whole]);
  expect(samples).toBe(2);
});

test('equal outputs differ by nothing, even where they are zero', () => {
  const { whole } = verifyEquivalence(times(0), times(0));
  expect(whole).toEqual({ name: 'Conv2d', maxAbsolute: 0, maxRelative: 0, relativeL2: 0 });
});

test('a difference to zero is infinite', () => {
  expect(verifyEquivalence(times(0), times(1)).whole.relativeL2).toBe(Number.POSITIVE_INFINITY);
});

test('random inputs follow the options', () => {
  const measure = (options: object) => verifyEquivalence(times(1), times(2), options).whole.maxAbsolute;
  expect(verifyEquivalence(times(1), times(2), { samples: 3 }).samples).toBe(3);
  expect(measure({ seed: 1 })).toBe(measure({ seed: 1 }));
  expect(measure({ seed: 1 })).not.toBe(measure({ seed: 2 }));
  expect(measure({ inputDims: [1, 1, 2, 2] })).toBeLessThan(measure({ inputDims: [8, 1, 64, 64] }));
});
