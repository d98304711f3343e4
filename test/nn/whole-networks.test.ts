import { type ArchitectureName, createModel, randn, type SessionOptions, type Tensor } from '../../lib';
import { withSession } from '../../lib/runtime/with-session';
import { jsonOf, runNode } from '../support/child';
import { bits, relativeL2 } from '../support/compare';
import { sweep } from '../support/sweep';

interface Row {
  readonly name: string;
  readonly logits: number;
  readonly block: number;
}

test.each(sweep(['qarepvgg_a0', 'repvgg_a0', 'qarepvgg_a1', 'qarepvgg_a2', 'qarepvgg_b0', 'qarepvgg_b1'], 2))(
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

const whole: readonly ArchitectureName[] = [
  'qarepvgg_a0',
  'qarepvgg_b1g4',
  'qarepvgg_a1',
  'qarepvgg_b0',
  'qarepvgg_b1',
];

test.each(sweep(whole, 1))("%s: 'auto' against 'gemm', and the same bits with any number of threads", async (name) => {
  const model = createModel(name, { seed: 3 }).reparameterize();
  const x = randn([2, 3, 224, 224], { seed: 4 });
  const logitsWith = (options: SessionOptions): Promise<Tensor> =>
    withSession(model, options, async (session) => (await session.run({ input: x })).logits);
  const auto = await logitsWith({ threads: 3 });
  expect(bits(await logitsWith({ threads: 1 }))).toBe(bits(auto));
  const gemm = await logitsWith({ algorithm: 'gemm' });
  const difference = relativeL2(auto.data, gemm.data);
  expect(difference).toBeGreaterThan(0);
  expect(difference).toBeLessThan(2e-5);
});
