import { jsonOf } from '../support/child';

/** Of random graphs; as many as `QAREPVGG_QUANTIZED_EXPORTS` says. */
const count = process.env.QAREPVGG_QUANTIZED_EXPORTS ?? '40';

interface Checked {
  readonly graphs: number;
  readonly refused: number;
  readonly float: number;
  readonly batches: number;
  readonly theirs: number;
  readonly wrong: Readonly<Record<string, string>>;
}

test('random graphs that quantize rounds compute the bits of onnxruntime, in batches of 1, 3 and 8', () => {
  const checked = jsonOf<Checked>(['scripts/check-quantized-exports.mjs', '0', count]);
  const { graphs, refused, float, batches, theirs, wrong } = checked;
  expect(wrong).toEqual({});
  expect(graphs).toBe(Number(count));
  expect(refused).toBeLessThan(graphs / 5);
  // Of small graphs many stay in float.
  expect(graphs - float).toBeGreaterThan(graphs / 3);
  expect(batches).toBeGreaterThan(2 * graphs);
  expect(theirs).toBeLessThan(graphs / 10);
});
