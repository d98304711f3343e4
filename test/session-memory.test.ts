import { runNode } from './support/child';

test('sessions made and disposed of, and runs, leave no memory behind', () => {
  const flags = ['--expose-gc', '--max-semi-space-size=2'];
  // `npm run check:memory` without numbers does ten times as much.
  const { stdout, stderr, status } = runNode([...flags, 'scripts/check-session-memory.mjs', '100', '10000']);
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  expect(JSON.parse(stdout)).toMatchObject({ cycles: 100, runs: 10_000 });
});

test('memoryUsage grows with image sizes in use, up to a few of them', () => {
  const script = `
    const { createModel, InferenceSession, randn } = require('.');
    const model = createModel('qarepvgg_a0', { channels: [16, 16, 32, 48, 64], inputSize: 64 }).reparameterize();
    InferenceSession.create(model).then((session) => {
      const bytes = [];
      for (let i = 0; i < 12; i++) {
        session.runSync({ input: randn([1, 3, 64 + i, 64]) });
        bytes.push(session.memoryUsage().bytes);
      }
      console.log(JSON.stringify(bytes));
    });`;
  const { stdout, status } = runNode(['-e', script]);
  const bytes = JSON.parse(stdout) as number[];
  expect(status).toBe(0);
  expect(bytes[1]).toBeGreaterThan(bytes[0] as number);
  expect(bytes[11] as number).toBeLessThan(2 * (bytes[4] as number));
});
