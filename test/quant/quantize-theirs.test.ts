import { jsonOf } from '../support/child';

/** In a process of its own: onnxruntime-node does not know the typed arrays of a jest realm. */
test('real networks: near the float ones, and in onnxruntime what they are here', () => {
  const names = ['ppocr-cls', 'blazeface-front'];
  const results = jsonOf<Record<string, { report: number; float: number; theirs: number }>>([
    'test/support/quantized-theirs.mjs',
    JSON.stringify(names),
  ]);
  expect(Object.keys(results)).toEqual(names);
  for (const [name, { report, float, theirs }] of Object.entries(results)) {
    // Deep networks of few channels, on their narrowest ranges: see the docs.
    expect([name, float > 8, Math.abs(report - float) < 1.5, theirs > 10]).toEqual([name, true, true, true]);
  }
});
