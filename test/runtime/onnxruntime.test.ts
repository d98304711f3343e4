import { jsonOf } from '../support/child';
import { sweep } from '../support/sweep';

/**
 * In a process of its own: onnxruntime-node does not know the typed arrays of a jest realm. It makes networks, exports them,
 * runs the files in onnxruntime and the networks in our session, and prints the relative L2 differences.
 */
function compare(models: readonly (readonly [name: string, options: object])[]): Record<string, number> {
  return jsonOf(['test/support/onnxruntime.mjs', JSON.stringify(models)]);
}

function expectSame(models: readonly (readonly [string, object])[]): void {
  const differences = compare(models);
  expect(Object.keys(differences)).toEqual(models.map(([name]) => name));
  expect(Math.max(...Object.values(differences))).toBeLessThan(1e-5);
}

test('networks of all architectures, narrow', () => {
  const narrow = { inputSize: 64, numClasses: 100, channels: [16, 32, 48, 64, 160] };
  const sizes = ['a0', 'a1', 'a2', 'b0', 'b1', 'b1g2', 'b1g4', 'b2', 'b2g2', 'b2g4', 'b3', 'b3g2', 'b3g4', 'd2se'];
  expectSame(sizes.flatMap((size) => [`qarepvgg_${size}`, `repvgg_${size}`].map((name) => [name, narrow] as const)));
});

test('images of another shape and size than the network is made for', () => {
  expectSame([['qarepvgg_a0', { inputSize: [40, 72], numClasses: 100, channels: [16, 32, 48, 64, 160] }]]);
});

test.each(sweep(['a0', 'a1', 'a2', 'b0', 'b1', 'b1g2', 'b1g4'], 1))('a network in its full width: %s', (size) => {
  expectSame([[`qarepvgg_${size}`, { inputSize: 64 }]]);
});
