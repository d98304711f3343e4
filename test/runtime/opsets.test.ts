import { jsonOf } from '../support/child';

test('operators whose form depends on the opset compute in each of 7 to 21 what they do in onnxruntime', () => {
  const differences = jsonOf<Record<string, number>>(['test/support/opsets.mjs']);
  expect(Object.keys(differences)).toEqual(Array.from({ length: 15 }, (_, i) => String(7 + i)));
});
