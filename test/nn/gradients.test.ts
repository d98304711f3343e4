import { type BlockOptions, QARepVGGBlock, randn } from '../../lib';
import { randomBlock } from '../support/blocks';
import { relativeL2 } from '../support/compare';
import { type DoubleState, type Doubles, referenceBlock, toDoubles } from '../support/reference';

/** Step of the central difference. Its error is about step^2, that of rounding 1e-16 / step: both below 1e-9. */
const step = 1e-5;

/** Entries of each tensor whose derivative is checked. */
const probes = 7;

const shape = { inChannels: 6, outChannels: 6 };
const blocks: [string, BlockOptions][] = [
  ['S4', shape],
  ['S4, no activation', { ...shape, activation: 'none' }],
  ['S4, all options', { ...shape, groups: 2, averageBranch: true, pointwiseBias: true, alpha: true }],
  ['S4, stride 2, groups', { inChannels: 6, outChannels: 9, stride: 2, groups: 3 }],
  ['S4, dilation 2', { ...shape, dilation: 2, eps: 1e-3 }],
  ['S3, bias and alpha', { ...shape, variant: 'S3', pointwiseBias: true, alpha: true }],
  ['S2', { ...shape, variant: 'S2' }],
  ['S1', { ...shape, variant: 'S1' }],
  ['S1, stride 2', { ...shape, variant: 'S1', stride: 2 }],
];

describe.each(blocks)('%s', (_, options) => {
  describe.each([true, false])('training: %p', (training) => {
    const block = randomBlock(options, 11, { minVariance: 0.5, maxVariance: 2 });
    if (training) block.train();
    const x = randn([2, options.inChannels, 5, 4], { seed: 12 });
    const state = toDoubles(block.stateDict());
    const output = block.forward(x, { grad: true });
    const gradOutput = randn(output.dims, { seed: 13 });
    const gradInput = block.backward(gradOutput);
    const input: Doubles = { data: Float64Array.from(x.data), dims: x.dims as unknown as Doubles['dims'] };
    const reference = (value: Doubles, weights: DoubleState) =>
      referenceBlock(value, weights, block.options, training).data;

    test('output', () => {
      expect(relativeL2(output.data, Float32Array.from(reference(input, state)))).toBeLessThan(1e-6);
    });

    /** Derivative of sum(output * gradOutput) with respect to one entry of one of the arrays, by the reference. */
    function derivative(entries: Float64Array, at: number): number {
      const original = entries[at] as number;
      const [up, down] = [original + step, original - step].map((value) => {
        entries[at] = value;
        return reference(input, state).reduce((sum, y, i) => sum + y * (gradOutput.data[i] as number), 0);
      }) as [number, number];
      entries[at] = original;
      return (up - down) / (2 * step);
    }

    /** Largest difference to the numeric derivative, over the probes. */
    function worst(gradient: Float32Array, entries: Float64Array): number {
      const places = Array.from({ length: probes }, (_, i) => Math.floor((i * gradient.length) / probes));
      return Math.max(...places.map((at) => Math.abs(derivative(entries, at) - (gradient[at] as number))));
    }

    // Gradients are sums of up to 80 terms of order 1 with rounding errors of 6e-8 each, scaled by batch norm.
    const tolerance = 1e-4;

    test('gradient of the input', () => {
      expect(worst(gradInput.data, input.data)).toBeLessThan(tolerance);
      expect(gradInput.dims).toEqual(x.dims);
    });

    test.each(Object.keys(new QARepVGGBlock(options).parameters()))('gradient of %s', (name) => {
      const { grad } = block.parameters()[name] as { grad: Float32Array };
      expect(worst(grad, state[name] as Float64Array)).toBeLessThan(tolerance);
    });
  });
});
