import { jsonOf, runNode } from './support/child';

interface Row {
  readonly name: string;
  readonly logits: number;
  readonly block: number;
}

test.each([['qarepvgg_a0'], ['qarepvgg_a1'], ['qarepvgg_a2'], ['qarepvgg_b0'], ['qarepvgg_b1'], ['repvgg_a0']])(
  'bench:accuracy, %s: deploy form against train form',
  (model) => {
    const args = ['bench/accuracy.mjs', '--sections', 'forms', '--models', model, '--json'];
    const [row, ...others] = jsonOf<{ forms: Row[] }>(args).forms as [Row, ...Row[]];
    expect(others).toEqual([]);
    expect(row.name).toBe(model);
    expect(row.logits).toBeGreaterThan(0);
    expect(row.logits).toBeLessThanOrEqual(1e-5);
    expect(row.block).toBeGreaterThan(0);
    expect(row.block).toBeLessThanOrEqual(3e-6);
  },
);

test('bench:accuracy: a section that it does not have: the usage, and exit code 2', () => {
  const { stderr, status } = runNode(['bench/accuracy.mjs', '--sections', 'speed']);
  expect({ stderr, status }).toEqual({ stderr: expect.stringContaining('usage: npm run bench:accuracy'), status: 2 });
});
