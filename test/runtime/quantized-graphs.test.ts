import { jsonOf } from '../support/child';

/** Of random graphs; as many as `QAREPVGG_QUANTIZED_GRAPHS` says. */
const count = process.env.QAREPVGG_QUANTIZED_GRAPHS ?? '40';

test('random quantised graphs compute the bits of onnxruntime, also once exported', () => {
  const { graphs, refused, wrong } = jsonOf<{ graphs: number; refused: number; wrong: Record<string, string> }>([
    'scripts/check-quantized-graphs.mjs',
    '0',
    count,
  ]);
  expect(graphs).toBe(Number(count));
  expect(refused).toBeLessThan(graphs / 10);
  expect(wrong).toEqual({});
});

interface Compared {
  /** Of the outputs, after the rounding of onnxruntime's integers. */
  readonly different: number;
  readonly relativeL2: number;
  readonly integer: number;
  readonly float: number;
}

/** Networks of other people, quantised with the ranges of one input: all convolutions are computed in integers. */
test.each([
  ['yolov6n-small', 'resnet18'],
  ['ppocr-det', 'ppocr-cls', 'blazeface', 'mlsd-tiny'],
])('%s, ...', (...names) => {
  const results = jsonOf<Record<string, Compared>>(['test/support/quantized-networks.mjs', JSON.stringify(names)]);
  expect(Object.keys(results)).toEqual(names);
  for (const [name, { relativeL2, float, integer }] of Object.entries(results)) {
    expect([name, float]).toEqual([name, 0]);
    expect(integer).toBeGreaterThan(10);
    // Behind the last integers both compute in floats.
    expect([name, relativeL2 < 1e-6]).toEqual([name, true]);
  }
});
