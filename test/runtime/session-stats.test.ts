import { type InferenceSession, info, randn, InferenceSession as Session } from '../../lib';
import { deployNetwork } from '../support/networks';
import { onnxFile } from '../support/onnx-files';
import { expectRejection } from '../support/refusal';

const network = deployNetwork('qarepvgg_a0');
const graph = onnxFile({
  inputs: { input: ['n', 3, 'h', 'w'] },
  outputs: ['c'],
  tensors: { w: [[16, 3, 3, 3], Array.from(randn([16, 3, 3, 3]).data)] },
  nodes: [['Conv', ['input', 'w'], ['c'], { pads: [1, 1, 1, 1] }]],
});
const images = (count: number, size = 32) => ({ input: randn([count, 3, size, size]) });

describe.each([
  ['a network of this package', () => Session.create(network, { threads: 2 })],
  ['a graph', () => Session.create(graph, { threads: 2, inputs: { input: [1, 3, 32, 32] } })],
])('%s', (_, create) => {
  let session: InferenceSession;
  beforeEach(async () => {
    session = await create();
  });
  afterEach(() => session.dispose());

  test('counts runs and images that are answered, and what waits', async () => {
    expect(session.stats()).toEqual({ runs: 0, images: 0, queue: 0, computeTime: 0, teamSize: expect.any(Number) });
    const before = performance.now();
    const pending = [1, 4, 2].map((count) => session.run(images(count)));
    expect(session.stats()).toMatchObject({ runs: 0, images: 0, queue: 3 });
    await Promise.all(pending);
    const { computeTime, ...others } = session.stats();
    expect(others).toMatchObject({ runs: 3, images: 7, queue: 0 });
    expect(computeTime).toBeGreaterThan(0);
    // What ran together shares the time: it is not counted twice.
    expect(computeTime).toBeLessThan(performance.now() - before);
    await session.run(images(1));
    expect(session.stats()).toMatchObject({ runs: 4, images: 8, queue: 0 });
    expect(session.stats().computeTime).toBeGreaterThan(computeTime);
  });

  test('sizes that come and go', async () => {
    for (const size of [8, 9, 10, 11, 12, 13]) await session.run(images(2, size));
    expect(session.stats()).toMatchObject({ runs: 6, images: 12 });
    expect(session.stats().computeTime).toBeGreaterThan(0);
  });

  test('neither aborted nor refused runs', async () => {
    await expectRejection(
      session.run(images(1), { signal: AbortSignal.abort() }),
      'ERR_ABORTED',
      'InferenceSession.run',
    );
    await expectRejection(session.run({ input: { data: new Float32Array(3), dims: [3] } }), 'ERR_SHAPE', 'input');
    expect(session.stats()).toMatchObject({ runs: 0, images: 0, queue: 0 });
  });

  test('after dispose', async () => {
    const run = session.run(images(3));
    session.dispose();
    await run;
    expect(session.stats()).toMatchObject({ runs: 1, images: 3, queue: 0 });
    expect(session.stats().computeTime).toBeGreaterThan(0);
  });
});

test('runSync counts', async () => {
  const session = await Session.create(network);
  session.runSync(images(2));
  expect(session.stats()).toMatchObject({ runs: 1, images: 2, queue: 0 });
  expect(session.stats().computeTime).toBeGreaterThan(0);
  session.dispose();
});

test('the team is no larger than the session and the machine allow', async () => {
  const alone = await Session.create(network, { threads: 1 });
  await alone.run(images(8));
  expect(alone.stats().teamSize).toBe(1);
  const all = await Session.create(network);
  await all.run(images(8));
  expect(all.stats().teamSize).toBeGreaterThanOrEqual(1);
  expect(all.stats().teamSize).toBeLessThanOrEqual(info().threads);
  expect(info().teamSize).toBe(all.stats().teamSize);
  for (const session of [alone, all]) session.dispose();
});
