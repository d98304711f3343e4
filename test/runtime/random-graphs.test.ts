import { jsonOf } from '../support/child';

test('random graphs compute what they do in onnxruntime, also once exported', () => {
  const { graphs, wrong } = jsonOf<{ graphs: number; wrong: Record<string, string> }>([
    'scripts/check-graphs.mjs',
    '0',
    '250',
  ]);
  expect(graphs).toBe(250);
  expect(wrong).toEqual({});
});
