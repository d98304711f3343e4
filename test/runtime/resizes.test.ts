import { jsonOf } from '../support/child';

test('Resize takes the same pixels as onnxruntime in every mode, for scales that float32 does not hold, also of integers', () => {
  const { outputs, worst } = jsonOf<{ outputs: number; worst: number }>(['test/support/resizes.mjs']);
  expect(outputs).toBeGreaterThan(5000);
  expect(worst).toBeLessThan(1e-6);
});
