import path from 'node:path';
import { addon } from '../binding';
import { fuseInMemory, openModel } from '../formats/open-model';
import { sizeOf } from '../image-size';
import {
  type Algorithm,
  type Feeds,
  type InferenceSession,
  type InputShapes,
  info,
  Model,
  type Network,
  type QuantizedModel,
  randn,
  type SessionOptions,
  type Value,
} from '../index';
import { imageLayout } from '../model/image-layout';
import { completeInputDims } from '../model/input-dims';
import { networkGraph } from '../model/quantized-graph';
import { inputName } from '../nn/graph';
import { Random } from '../random';
import { withSession } from '../runtime/with-session';
import { randomFeed } from '../verify-models';
import type { BenchFlags } from './bench-command';
import { readDims, requireDims } from './dims';
import { inputFile } from './input';
import { percentile } from './numbers';
import { formatTable } from './table';
import { misuse } from './usage';

/** The result of `bench`; times are in milliseconds. */
interface Result {
  readonly file: string;
  readonly model: string;
  /** The form of the file, where it had to be fused. */
  readonly fusedFrom?: string;
  readonly isa: string;
  readonly threads: number;
  readonly algorithm: Algorithm;
  readonly inputDims: number[];
  readonly createMs: number;
  readonly memoryBytes: number;
  readonly runs: number;
  readonly latencyMs: Readonly<Record<'min' | 'p50' | 'p90' | 'p99' | 'max', number>>;
  /** Computed from the median. */
  readonly imagesPerSecond: number;
  readonly precision: 'float32' | 'int8';
  /**
   * Per second, from the median. A multiply-add of direct convolution counts as two; Winograd needs fewer, so it can exceed
   * the peak.
   */
  readonly gigaops: number;
  /** The peak of multiply-adds in registers on as many threads, measured before and after; the better of the two. */
  readonly peakGigaops: number;
}

/** The `bench` command: runs of one model on random images, one after another. */
export async function bench(file: string, options: BenchFlags): Promise<void> {
  const result = await measure(file, options);
  if (options.json) process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  else print(result);
}

/** A model, and what it is measured with. */
interface Subject {
  readonly model: Network | QuantizedModel | Model;
  readonly fusedFrom?: string;
  readonly options: SessionOptions;
  /** Dims of the first input. */
  readonly inputDims: readonly number[];
  /** The feeds, and the multiply-adds of a run; called after the options have been checked. */
  feeds(): Feeds;
  macs(): number;
}

async function measure(file: string, flags: BenchFlags): Promise<Result> {
  const opened = await openModel(await inputFile(file));
  const { model, fusedFrom, options, feeds, inputDims, macs } =
    opened instanceof Model ? theirSubject(opened, flags) : ownSubject(opened, flags);
  const { algorithm, threads } = flags;
  const start = performance.now();
  return withSession(model, { algorithm, ...(threads !== undefined && { threads }), ...options }, async (session) => {
    const createMs = performance.now() - start;
    const { isa, threads: all } = info();
    const team = threads ?? all;
    const precision = model.form === 'int8' ? 'int8' : 'float32';
    const peak = (): number => addon.peakRate(precision, team) / 1e9;
    const peakBefore = peak();
    const times = await timeRuns(session, feeds(), flags.seconds);
    const p50 = percentile(times, 50);
    const latencyMs = {
      min: Math.min(...times),
      p50,
      p90: percentile(times, 90),
      p99: percentile(times, 99),
      max: Math.max(...times),
    };
    return {
      file: path.basename(file),
      model: model.toString(),
      ...(fusedFrom !== undefined && { fusedFrom }),
      precision,
      isa,
      threads: team,
      algorithm,
      inputDims: [...inputDims],
      createMs,
      memoryBytes: session.memoryUsage().bytes,
      runs: times.length,
      latencyMs,
      imagesPerSecond: ((inputDims[0] ?? 1) * 1000) / p50,
      gigaops: (2 * macs()) / p50 / 1e6,
      peakGigaops: Math.max(peakBefore, peak()),
    };
  });
}

function ownSubject(opened: Network | QuantizedModel, flags: BenchFlags): Subject {
  if (flags.dims !== undefined) throw misuse('--dims', 'an ONNX file of other origin', 'a network of this package');
  const { form } = opened;
  const model = fuseInMemory(opened);
  const inputSize = sizeOf(flags.size ?? model.options.inputSize);
  const inputDims = [flags.batch, model.options.inChannels, ...inputSize];
  return {
    model,
    ...(form !== model.form && { fusedFrom: form }),
    options: { inputSize, maxBatch: flags.batch },
    inputDims,
    feeds: () => ({ input: randn(inputDims) }),
    macs: () => new Model(networkGraph(model)).summary({ inputs: { [inputName]: inputDims } }).macs,
  };
}

/** The flags fill the open dims: the number of images, then their height and width. */
function theirSubject(model: Model, { batch, size, dims }: BenchFlags): Subject {
  const given = readDims(
    dims,
    model.inputs.map(({ name }) => name),
  );
  const fromFlags = ({ name, dims: own }: Value) => {
    const sides = size === undefined ? [] : sizeOf(size);
    const known = imageLayout({ dims: own })?.isLast ? [batch, ...sides] : [batch, undefined, ...sides];
    return [name, own.map((dim, axis) => (typeof dim === 'number' ? dim : (known[axis] ?? dim)))] as const;
  };
  const guessed = Object.fromEntries(model.inputs.map(fromFlags).filter(([, all]) => all.every(Number.isInteger)));
  const inputs = { ...guessed, ...given } as InputShapes;
  requireDims(model.inputs, inputs);
  const all = completeInputDims(model.graph, inputs);
  const [first] = model.inputs;
  return {
    model,
    options: { inputs },
    inputDims: all.get(first?.name ?? '') ?? [],
    feeds: () => randomFeed(model, all, new Random(0)),
    macs: () => model.summary({ inputs }).macs,
  };
}

/** Milliseconds of each run on random images, over `seconds` seconds. */
async function timeRuns(session: InferenceSession, feeds: Feeds, seconds: number): Promise<number[]> {
  const times: number[] = [];
  const run = async (): Promise<number> => {
    const began = performance.now();
    await session.run(feeds);
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
    ...(result.fusedFrom ? [['', `fused in memory; the file is in ${result.fusedFrom} form`]] : []),
    ['input', `${result.inputDims.join(' x ')}, random`],
    ['runs', `${result.runs.toLocaleString('en-US')}, ${result.algorithm}, ${result.isa}, ${result.threads} threads`],
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
    `${gigaops.toFixed(1).padStart(9)} (direct convolution), ${share}`,
  ];
}
