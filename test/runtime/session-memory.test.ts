import { runLimited, runNode } from '../support/child';

test('sessions made and disposed of, and runs, leave no memory behind', () => {
  // `npm run check:memory` without numbers does ten times as much.
  const { stdout, stderr, status } = runNode(['--expose-gc', 'scripts/check-session-memory.mjs', '100', '10000']);
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

test.each([
  ['results', 'const runs = Array.from({ length: 60 }, () => session.run({ input: large }));'],
  ['one result', 'const runs = [session.run({ input: randn([1, 1, 512, 512]) })];'],
  [
    'sessions',
    'const wide = new Conv2d({ inChannels: 4096, outChannels: 4096, kernelSize: 1 });' +
      'const runs = Array.from({ length: 60 }, () => InferenceSession.create(wide));',
  ],
])('no memory for %s: an error, and the next run is right', (_, fill) => {
  // Results of 64 MiB each.
  const script = `
    const { Conv2d, InferenceSession, QARepVGGError, randn } = require('.');
    const large = randn([1, 1, 64, 64]);
    const small = randn([1, 1, 2, 2]);
    (async () => {
      const session = await InferenceSession.create(new Conv2d({ inChannels: 1, outChannels: 4096, kernelSize: 1 }));
      const before = session.runSync({ input: small }).logits.data.join();
      const failures = async () => {
        ${fill}
        const settled = await Promise.allSettled(runs);
        return settled.flatMap(({ reason }) => (reason ? [reason instanceof QARepVGGError ? reason.code : String(reason)] : []));
      };
      const codes = new Set(await failures());
      console.log([...codes].join(), session.runSync({ input: small }).logits.data.join() === before);
    })();`;
  const { stdout, stderr, status } = runLimited(script, 2_500_000);
  expect({ stdout, stderr, status }).toEqual({ stdout: 'ERR_OUT_OF_MEMORY true\n', stderr: '', status: 0 });
});
