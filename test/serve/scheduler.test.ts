import { setTimeout as sleep } from 'node:timers/promises';
import { Cancellation } from '../../lib/serve/cancellation';
import type { BatchReport, JobOptions, Lane, LaneOptions } from '../../lib/serve/lane';
import { Scheduler } from '../../lib/serve/scheduler';

/** A lane whose batches finish when the test says. */
function controlled(scheduler: Scheduler, options: Partial<LaneOptions<string, string>> = {}) {
  const batches: { inputs: readonly string[]; signal: AbortSignal; finish(): void; fail(error: Error): void }[] = [];
  const reports: BatchReport[] = [];
  const lane = scheduler.lane<string, string>({
    maxBatch: 4,
    queueDelay: 0,
    maxQueue: 100,
    run: (inputs, signal) =>
      new Promise((resolve, reject) => {
        const finish = (): void => resolve(inputs.map((input) => input.toUpperCase()));
        batches.push({ inputs, signal, finish, fail: reject });
        signal.addEventListener('abort', () => reject(new Error('aborted by the scheduler')));
      }),
    onBatch: (report) => reports.push(report),
    ...options,
  });
  const submit = (input: string, job: Partial<JobOptions> = {}) => {
    const result = lane.submit(input, { rows: 1, key: '', deadline: performance.now() + 10_000, ...job });
    result.catch(() => undefined); // tests look at those that matter
    return result;
  };
  return { lane, batches, reports, submit, inputs: () => batches.map(({ inputs }) => inputs.join('')) };
}

const settled = () => sleep(0);

jest.setTimeout(20_000);

test('what waits while others compute, computes together, in the order of arrival and up to maxBatch', async () => {
  const { submit, batches, reports, inputs } = controlled(new Scheduler());
  const results = [...'abcdefgh'].map((input) => submit(input));
  expect(inputs()).toEqual(['a', 'b']);
  batches[0]?.finish();
  await settled();
  expect(inputs()).toEqual(['a', 'b', 'cdef']);
  batches[1]?.finish();
  await settled();
  batches[2]?.finish();
  batches[3]?.finish();
  expect(await Promise.all(results)).toEqual([...'ABCDEFGH']);
  expect(inputs()).toEqual(['a', 'b', 'cdef', 'gh']);
  await settled();
  expect(reports.map(({ rows, queued }) => [rows, queued.length])).toEqual([
    [1, 1],
    [1, 1],
    [4, 4],
    [2, 2],
  ]);
});

test('a request counts with its own images; one larger than a batch computes alone', async () => {
  const { submit, batches, inputs } = controlled(new Scheduler());
  for (const input of 'ab') void submit(input);
  void submit('c', { rows: 3 });
  void submit('d', { rows: 2 });
  void submit('e', { rows: 9 });
  void submit('f');
  for (let i = 0; i < 6; i++) {
    batches[i]?.finish();
    await settled();
  }
  expect(inputs()).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
});

test('only requests of one kind compute together', async () => {
  const { submit, batches, inputs } = controlled(new Scheduler());
  for (const input of 'abcdef') void submit(input, { key: 'aceACE'.includes(input) ? 'odd' : 'even' });
  for (let i = 0; i < 4; i++) {
    batches[i]?.finish();
    await settled();
  }
  expect(inputs()).toEqual(['a', 'b', 'ce', 'df']);
});

test('with a delay, a lone request waits for others, a full batch does not', async () => {
  const { submit, inputs } = controlled(new Scheduler(), { queueDelay: 50 });
  const begun = performance.now();
  void submit('a');
  expect(inputs()).toEqual([]);
  for (const input of 'bcd') void submit(input);
  expect(inputs()).toEqual(['abcd']);
  void submit('e');
  while (inputs().length < 2) await sleep(1);
  expect(performance.now() - begun).toBeGreaterThanOrEqual(49);
});

test('a deadline that would pass cuts the delay short', async () => {
  const { submit, batches } = controlled(new Scheduler(), { queueDelay: 5000 });
  let isLate = false;
  const result = submit('a', { deadline: performance.now() + 2000 });
  result.catch(() => {
    isLate = true;
  });
  while (batches.length === 0 && !isLate) await sleep(1);
  batches[0]?.finish();
  expect(await result).toBe('A');
});

test('late and aborted requests are never computed', async () => {
  const { submit, batches, inputs, lane } = controlled(new Scheduler());
  void submit('a');
  void submit('b');
  const [gone, cancelled] = [new Cancellation(), new Cancellation()];
  gone.cancel();
  const late = submit('c', { deadline: performance.now() + 20 });
  const aborted = submit('d', { cancellation: cancelled });
  const wanted = submit('e');
  cancelled.cancel();
  await expect(aborted).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  await expect(late).rejects.toMatchObject({ code: 'ERR_TIMEOUT' });
  await expect(submit('f', { deadline: performance.now() })).rejects.toMatchObject({ code: 'ERR_TIMEOUT' });
  await expect(submit('g', { cancellation: gone })).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  batches[0]?.finish();
  batches[1]?.finish();
  await settled();
  batches[2]?.finish();
  expect(await wanted).toBe('E');
  expect(inputs()).toEqual(['a', 'b', 'e']);
  expect(lane.length).toBe(0);
});

test('a batch is aborted when nobody waits for any of it, and not before', async () => {
  const { submit, batches } = controlled(new Scheduler());
  for (const input of 'ab') void submit(input);
  const clients = [new Cancellation(), new Cancellation()] as const;
  const results = clients.map((cancellation) => submit('c', { cancellation }));
  batches[0]?.finish();
  await settled();
  clients[0].cancel();
  await expect(results[0]).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  expect(batches[2]?.signal.aborted).toBe(false);
  clients[1].cancel();
  await expect(results[1]).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  expect(batches[2]?.signal.aborted).toBe(true);
  await settled();
  void submit('d');
  expect(batches[3]?.inputs).toEqual(['d']);
  expect(batches[3]?.signal.aborted).toBe(false);
});

test('when a batch fails, its requests are computed alone, and only the one at fault fails', async () => {
  const scheduler = new Scheduler();
  const runs: string[] = [];
  const lane = scheduler.lane<string, string>({
    maxBatch: 8,
    queueDelay: 0,
    maxQueue: 100,
    run: async (inputs) => {
      runs.push(inputs.join(''));
      await sleep(1);
      if (inputs.includes('x')) throw new Error('x cannot be computed');
      return inputs.map((input) => input.toUpperCase());
    },
  });
  const job = { rows: 1, key: '', deadline: performance.now() + 10_000 };
  const results = await Promise.allSettled([...'abcxd'].map((input) => lane.submit(input, job)));
  expect(
    results.map((result) => (result.status === 'fulfilled' ? result.value : (result.reason as Error).message)),
  ).toEqual([...'ABC', 'x cannot be computed', 'D']);
  expect(runs).toEqual(['a', 'b', 'cxd', 'c', 'x', 'd']);
});

test('a full queue refuses, and takes again when there is room', async () => {
  const { submit, batches, lane } = controlled(new Scheduler(), { maxQueue: 2 });
  for (const input of 'abcd') void submit(input);
  expect(lane.isFull).toBe(true);
  await expect(submit('e')).rejects.toMatchObject({
    code: 'ERR_BUSY',
    message: expect.stringContaining('fewer than 2'),
  });
  batches[0]?.finish();
  await settled();
  void submit('f');
  expect(lane.length).toBe(1);
});

test('closing refuses new requests and ends with the last of the old ones', async () => {
  const { submit, batches, lane } = controlled(new Scheduler());
  const results = [...'abc'].map((input) => submit(input));
  let isClosed = false;
  const closed = lane.close().then(() => {
    isClosed = true;
  });
  await expect(submit('d')).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
  batches[0]?.finish();
  await settled();
  batches[1]?.finish();
  await settled();
  expect(isClosed).toBe(false);
  batches[2]?.finish();
  await closed;
  expect(await Promise.all(results)).toEqual([...'ABC']);
});

/** An engine that computes one batch at a time, as the addon does. */
function serialEngine() {
  let last: Promise<unknown> = Promise.resolve();
  return (milliseconds: number) => async (inputs: readonly string[]) => {
    const mine = last.then(() => sleep(milliseconds));
    last = mine;
    await mine;
    return inputs;
  };
}

test('a slow model does not starve a fast one: both have their share of the engine', async () => {
  const scheduler = new Scheduler();
  const engine = serialEngine();
  const used = { slow: 0, fast: 0 };
  const lane = (name: 'slow' | 'fast', milliseconds: number) =>
    scheduler.lane<string, string>({
      maxBatch: 1,
      queueDelay: 0,
      maxQueue: 100,
      run: engine(milliseconds),
      onBatch: ({ computed }) => {
        used[name] += computed;
      },
    });
  const lanes = [lane('slow', 40), lane('fast', 4)];
  const end = performance.now() + 1200;
  const client = async (index: number): Promise<void> => {
    while (performance.now() < end) {
      await lanes[index]?.submit('a', { rows: 1, key: '', deadline: performance.now() + 10_000 });
    }
  };
  await Promise.all([...Array(8).fill(0), ...Array(8).fill(1)].map(client));
  // An equal share is half; in turns the fast one would have an eleventh.
  const share = used.fast / (used.fast + used.slow);
  expect(share).toBeGreaterThan(0.3);
  expect(share).toBeLessThan(0.7);
});

test('batches are short while models compete, and full again when they do not', async () => {
  const scheduler = new Scheduler();
  const engine = serialEngine();
  const sizes: number[] = [];
  const [slow, fast] = ['slow', 'fast'].map((name) =>
    scheduler.lane<string, string>({
      maxBatch: 8,
      queueDelay: 0,
      maxQueue: 100,
      run: (inputs) => engine(9 * inputs.length)(inputs),
      onBatch: ({ rows }) => name === 'slow' && sizes.push(rows),
    }),
  ) as [Lane<string, string>, Lane<string, string>];
  const job = () => ({ rows: 1, key: '', deadline: performance.now() + 10_000 });
  const burst = (count: number) => Promise.all(Array.from({ length: count }, () => slow.submit('a', job())));
  await burst(18);
  expect(Math.max(...sizes)).toBe(8);
  sizes.length = 0;
  await Promise.all([fast.submit('b', job()), burst(12)]);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(2);
  await sleep(1100);
  sizes.length = 0;
  await burst(18);
  expect(Math.max(...sizes)).toBe(8);
});

test('a model that had nothing to do for long does not get all of the engine afterwards', async () => {
  const scheduler = new Scheduler();
  const engine = serialEngine();
  const order: string[] = [];
  const lane = (name: string) =>
    scheduler.lane<string, string>({
      maxBatch: 1,
      queueDelay: 0,
      maxQueue: 100,
      run: (inputs) => {
        order.push(name);
        return engine(5)(inputs);
      },
    });
  const [busy, idle] = [lane('busy'), lane('idle')];
  const job = () => ({ rows: 1, key: '', deadline: performance.now() + 10_000 });
  for (let i = 0; i < 20; i++) await busy.submit('a', job());
  order.length = 0;
  await Promise.all([...Array(10)].flatMap(() => [busy.submit('a', job()), idle.submit('b', job())]));
  const firstHalf = order.slice(0, 10).filter((name) => name === 'busy').length;
  expect(firstHalf).toBeGreaterThanOrEqual(3);
  expect(firstHalf).toBeLessThanOrEqual(7);
});
