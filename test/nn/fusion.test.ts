import fc from 'fast-check';
import { type BlockOptions, QARepVGGBlock, type RepBlock, randn, type Tensor } from '../../lib';
import { blockOptions, mapState, randomBlock } from '../support/blocks';

/** Half a unit in the last place of a float32 near 1: the largest relative error of one rounding. */
const unit = 2 ** -24;

const sizes = fc.record({
  n: fc.integer({ min: 1, max: 3 }),
  h: fc.integer({ min: 1, max: 9 }),
  w: fc.integer({ min: 1, max: 9 }),
});

/** Variances from those of dead channels, where eps decides, to those of exploded ones. */
const spreads = fc.constantFrom({ minVariance: 0.5, maxVariance: 2 }, { minVariance: 1e-12, maxVariance: 1e8 });

/**
 * The sum of the magnitudes of all terms that make up each output, which is what rounding errors are relative to:
 * where large terms cancel, the output is small and the error is not. It is the output of the same block with every
 * tensor and the input made positive, and means negative, as they are subtracted.
 */
function magnitudes(block: RepBlock, x: Tensor): Float32Array {
  const positive = new QARepVGGBlock(block.options).eval();
  positive.loadStateDict(
    mapState(block.stateDict(), (name, { data }) => {
      const sign = name.endsWith('running_mean') ? -1 : 1;
      return data.map((value) => sign * Math.abs(value));
    }),
  );
  return positive.forward({ data: x.data.map(Math.abs), dims: x.dims }).data;
}

/**
 * Roundings on the way to one output, at most: the terms of the 3x3 and of the 1x1 are added one by one, and each
 * passes a dozen operations of batch norms and sums; both sides are rounded.
 */
function roundings({ inChannels, groups = 1 }: BlockOptions): number {
  return 2 * (10 * (inChannels / groups) + 12);
}

test('the fused forms equal the train form for any block and any state', () => {
  fc.assert(
    fc.property(blockOptions, sizes, spreads, fc.nat(1e6), (options, { n, h, w }, spread, seed) => {
      const block = randomBlock(options, seed, spread);
      const x = randn([n, options.inChannels, h, w], { seed });
      const expected = block.forward(x);
      const scale = magnitudes(block, x);
      const limit = roundings(options) * unit;

      const forms = [block.reparameterize().forward(x)];
      if (options.variant === 'S4') forms.push(block.switchToDeploy({ keepPostBn: true }).forward(x));
      forms.push(block.switchToDeploy().forward(x));
      for (const { data, dims } of forms) {
        expect(dims).toEqual(expected.dims);
        const errors = data.map((value, i) => Math.abs(value - (expected.data[i] as number)) / (scale[i] as number));
        expect(Math.max(...errors.filter((error) => !Number.isNaN(error)))).toBeLessThanOrEqual(limit);
        expect(data.every(Number.isFinite)).toBe(true);
      }
    }),
    { numRuns: 400, seed: 20221205 },
  );
});

test('the limit of the property notices a wrong kernel', () => {
  const options = { inChannels: 8, outChannels: 8, activation: 'none' } as const;
  const block = randomBlock(options, 1, { minVariance: 0.5, maxVariance: 2 });
  const x = randn([1, 8, 6, 6]);
  const [expected, scale] = [block.forward(x).data, magnitudes(block, x)];
  const conv = block.reparameterize();
  const weight = conv.parameters().weight?.data as Float32Array;
  weight[4] = (weight[4] as number) * 1.001;
  const errors = conv
    .forward(x)
    .data.map((value, i) => Math.abs(value - (expected[i] as number)) / (scale[i] as number));
  expect(Math.max(...errors)).toBeGreaterThan(roundings(options) * unit);
});

test('fusing does not depend on the mode of the block', () => {
  const block = randomBlock({ inChannels: 4, outChannels: 4 }, 3, { minVariance: 0.5, maxVariance: 2 });
  const inEval = block.reparameterize().stateDict();
  expect(block.train().reparameterize().stateDict()).toEqual(inEval);
});
