import { jsonOf } from '../support/child';

interface Row {
  readonly name: string;
  readonly steps: number;
  readonly loss: number;
  readonly weights: number;
  readonly statistics: number;
}

test('bench:accuracy: five runs of 20 steps, as in PyTorch', () => {
  const { training } = jsonOf<{ training: Row[] }>(['bench/accuracy.mjs', '--sections', 'training', '--json']);
  expect(training.map(({ steps }) => steps)).toEqual([20, 20, 20, 20, 20]);
  const isClose = ({ loss, weights, statistics }: Row) => loss < 1e-3 && weights <= 5e-3 && statistics <= 5e-3;
  expect(training.filter((row) => !isClose(row))).toEqual([]);
  // Rounding differs, so what is 0 was not compared.
  expect(training.filter(({ loss, weights, statistics }) => loss * weights * statistics === 0)).toEqual([]);
});
