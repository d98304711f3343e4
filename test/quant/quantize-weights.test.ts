import { randn } from '../../lib';
import { quantizeWeights } from '../../lib/quant/quantize-weights';
import { atOnce } from '../../lib/slices';

const [rows, length] = [6, 50];
const weight = randn([rows, length], { seed: 4 }).data;
const bias = randn([rows], { seed: 5 }).data;
const options = { perChannel: true, bits: 8 };

test('the largest weight of a channel becomes 127, and all are as near as a step allows', () => {
  const { weight: integers, weightScale } = atOnce(quantizeWeights(weight, bias, 0.02, options));
  for (let row = 0; row < rows; row++) {
    const own = integers.subarray(row * length, (row + 1) * length);
    expect(Math.max(...own.map(Math.abs))).toBe(127);
    const scale = weightScale[row] as number;
    own.forEach((value, i) => {
      expect(Math.abs(value * scale - (weight[row * length + i] as number))).toBeLessThanOrEqual(scale * 0.501);
    });
  }
});

test('the event loop can run between channels', () => {
  const steps = quantizeWeights(weight, bias, 0.02, options);
  let pauses = 0;
  while (!steps.next().done) pauses++;
  expect(pauses).toBe(2 * rows);
});
