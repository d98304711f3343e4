import path from 'node:path';
import { addon } from '../binding';
import { openModel } from '../formats/open-model';
import { countMacs } from '../graph/macs';
import { type Algorithm, type InferenceSession, info, randn } from '../index';
import { withSession } from '../runtime/with-session';
import type { BenchFlags } from './bench-command';
import { opsOf } from './network-file';
import { percentile } from './numbers';
import { formatTable } from './table';

/** What `bench` has measured. Times in milliseconds. */
interface Result {
  readonly file: string;
  readonly model: string;
  readonly isa: string;
  readonly threads: number;
  readonly algorithm: Algorithm;
  readonly inputDims: number[];
  readonly createMs: number;
  readonly memoryBytes: number;
  readonly runs: number;
  readonly latencyMs: Readonly<Record<'min' | 'p50' | 'p90' | 'p99' | 'max', number>>;
  /** From the median. */
  readonly imagesPerSecond: number;
  readonly precision: 'float32' | 'int8';
  /** Per second, two per multiply-add of direct convolution: Winograd needs fewer, and counts as faster. From the median. */
  readonly gigaops: number;
  /** Of multiply-adds in registers on as many threads, measured before and after: the better one. */
  readonly peakGigaops: number;
}

/** The `bench` command: runs of one model on random images, one after the other. */
export async function bench(file: string, options: BenchFlags): Promise<void> {
  const result = await measure(file, options);
  if (options.json) process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  else print(result);
}

async function measure(file: string, flags: BenchFlags): Promise<Result> {
  const model = await openModel(file, 'bench');
  const inputSize = flags.size ?? model.options.inputSize;
  const inputDims = [flags.batch, model.options.inChannels, inputSize, inputSize];
  const { algorithm, batch: maxBatch, threads } = flags;
  const options = { algorithm, inputSize, maxBatch, ...(threads !== undefined && { threads }) };
  const start = performance.now();
  return withSession(model, options, async (session) => {
    const createMs = performance.now() - start;
    const { isa, threads: all } = info();
    const team = threads ?? all;
    const precision = model.form === 'int8' ? 'int8' : 'float32';
    const peak = (): number => addon.peakRate(precision, team) / 1e9;
    const peakBefore = peak();
    const times = await timeRuns(session, inputDims, flags.seconds);
    const p50 = percentile(times, 50);
    const latencyMs = {
      min: Math.min(...times),
      p50,
      p90: percentile(times, 90),
      p99: percentile(times, 99),
      max: Math.max(...times),
    };
    const macs = countMacs(opsOf(model, 'bench'), inputDims, 'bench');
    return {
      file: path.basename(file),
      model: model.toString(),
      precision,
      isa,
      threads: team,
      algorithm,
      inputDims,
      createMs,
      memoryBytes: session.memoryUsage().bytes,
      runs: times.length,
      latencyMs,
      imagesPerSecond: (maxBatch * 1000) / p50,
      gigaops: (2 * macs) / p50 / 1e6,
      peakGigaops: Math.max(peakBefore, peak()),
    };
  });
}

/** Milliseconds of each run on random images, for so many seconds. */
async function timeRuns(session: InferenceSession, inputDims: number[], seconds: number): Promise<number[]> {
  const input = randn(inputDims);
  const times: number[] = [];
  const run = async (): Promise<number> => {
    const began = performance.now();
    await session.run({ input });
    return performance.now() - began;
  };
  for (let i = 0; i < 3; i++) await run();
  const end = performance.now() + seconds * 1000;
  do times.push(await run());
  while (performance.now() < end);
  return times;
}

function print(result: Result): void {
  const ms = (value: number): string => value.toFixed(2).padStart(9);
  const rows = [
    ['model', result.model],
    ['input', `${result.inputDims.join(' x ')}, random`],
    ['runs', `${result.runs}, ${result.algorithm}, ${result.isa}, ${result.threads} threads`],
    ['session', `${result.createMs.toFixed(0)} ms to create, ${(result.memoryBytes / 2 ** 20).toFixed(1)} MiB`],
    ...Object.entries(result.latencyMs).map(([name, value]) => [`latency ${name}`, `${ms(value)} ms`]),
    ['images/s', result.imagesPerSecond.toFixed(1).padStart(9)],
    speed(result),
  ];
  process.stdout.write(formatTable(rows, ['left', 'left']));
}

function speed({ precision, gigaops, peakGigaops }: Result): string[] {
  const share = `${((100 * gigaops) / peakGigaops).toFixed(0)} % of the peak of ${peakGigaops.toFixed(1)}`;
  return [
    precision === 'int8' ? 'GOP/s' : 'GFLOP/s',
    `${gigaops.toFixed(1).padStart(9)} (direct convolution's count), ${share}`,
  ];
}
