import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { didYouMean } from '../did-you-mean';
import { describeList, quote, within } from '../errors';
import { writeAtomically } from '../formats/atomic';
import { serializeNpy } from '../formats/npy';
import type { GraphTensor } from '../graph/graph';
import { numbersOf } from '../graph/tensors';
import type { InferenceSession } from '../index';
import { withSession } from '../runtime/with-session';
import { inputFile } from './input';
import { checkOutputs } from './outputs';
import type { RunFlags } from './run-command';
import { readFeeds } from './run-feeds';
import { formatTable } from './table';
import { misuse } from './usage';

type Results = readonly (readonly [name: string, tensor: GraphTensor])[];

/** How many numbers of an output are printed, and how many classes. */
const [shown, best] = [6, 5];

/** The `run` command. */
export async function runModel(file: string, inputs: readonly string[], flags: RunFlags): Promise<void> {
  if ((flags.mean === undefined) !== (flags.std === undefined)) throw misuse('both --mean and --std', 'one of them');
  if (flags.out !== undefined && path.extname(flags.out) !== '') {
    await checkOutputs([{ name: '--out', file: flags.out, format: 'report' }], inputFiles(file, inputs));
  }
  const { algorithm, threads } = flags;
  const options = { algorithm, ...(threads !== undefined && { threads }) };
  await withSession(await inputFile(file), options, async (session) => {
    const { outputs = session.outputNames } = flags;
    const odd = outputs.find((name) => !session.outputNames.includes(name));
    if (odd !== undefined)
      throw misuse(
        '--outputs',
        `names among ${describeList(session.outputNames)}`,
        quote(odd) + didYouMean(odd, session.outputNames),
      );
    if (flags.out?.toLowerCase().endsWith('.npy') && outputs.length > 1) {
      throw misuse('--out', `--outputs with one of ${describeList(outputs)}, or a folder`, flags.out);
    }
    const feeds = await readFeeds(session, inputs, flags);
    const start = performance.now();
    const fetched = await session.run(feeds as never, outputs);
    const ms = performance.now() - start;
    const results = outputs.map((name) => {
      const { data, dims, type = 'float32' } = fetched[name] as GraphTensor;
      return [name, { type, dims, data }] as const;
    });
    if (flags.out !== undefined) await write(flags.out, results);
    const isFeed = Object.entries(feeds).map(([name, { type, dims }]) => [name, { type, dims }] as const);
    if (flags.json) {
      const described = { file: path.basename(file), model: modelOf(session), ms, inputs: Object.fromEntries(isFeed) };
      process.stdout.write(`${JSON.stringify({ ...described, outputs: plain(results) })}\n`);
    } else {
      const facts = [
        ['model', modelOf(session)],
        ...isFeed.map(([name, { type, dims }]) => ['input', `${name}: ${type} ${dims.join(' x ')}`]),
        ['time', `${ms.toFixed(1)} ms, the first run; qarepvgg bench measures`],
      ];
      process.stdout.write(`${formatTable(facts, ['left', 'left'])}\n${tableOf(results)}${ranking(results, session)}`);
      if (flags.out !== undefined) process.stdout.write(`\nwritten to ${flags.out}\n`);
    }
  });
}

function modelOf(session: InferenceSession): string {
  return `${session}`.replace(/^InferenceSession\((.*)\)$/s, '$1');
}

/** The part of an argument such as "name=file" that may be a file. */
function inputFiles(file: string, inputs: readonly string[]): string[] {
  const files = inputs.flatMap((text) => [text, text.slice(text.indexOf('=') + 1)]);
  return [file, ...files].filter((name) => name !== '-');
}

function plain(results: Results) {
  return Object.fromEntries(
    results.map(([name, tensor]) => [
      name,
      { type: tensor.type, dims: tensor.dims, data: Array.from(numbersOf(tensor)) },
    ]),
  );
}

async function write(out: string, results: Results): Promise<void> {
  const [first] = results;
  if (out.toLowerCase().endsWith('.json')) {
    await within('--out', () => writeAtomically(out, Buffer.from(`${JSON.stringify(plain(results))}\n`)));
  } else if (out.toLowerCase().endsWith('.npy') && first) {
    await within('--out', () => writeAtomically(out, serializeNpy(first[1])));
  } else {
    await mkdir(out, { recursive: true });
    for (const [name, tensor] of results) {
      // Names of values may not be file names: "Identity:0", "a/b".
      const file = path.join(out, `${name.replace(/[^\w.-]/g, '_')}.npy`);
      await within('--out', () => writeAtomically(file, serializeNpy(tensor)));
    }
  }
}

function tableOf(results: Results): string {
  const rows = results.map(([name, tensor]) => {
    const numbers = numbersOf(tensor);
    const [low, high, sum] = extent(numbers);
    const figures = [low, high, sum / numbers.length].map((value) => (numbers.length > 0 ? digits(value) : ''));
    return [name, tensor.type, tensor.dims.join(' x ') || 'a number', ...figures];
  });
  const head = ['output', 'type', 'dims', 'least', 'largest', 'mean'];
  const starts = results.map(([name, tensor]) => [name, beginningOf(numbersOf(tensor))]);
  return (
    `${formatTable([head, ...rows], ['left', 'left', 'left', 'right', 'right', 'right'])}\n` +
    formatTable([['output', 'begins with'], ...starts], ['left', 'left'])
  );
}

/** "0.1250 0.3333 ..." */
function beginningOf(numbers: ArrayLike<number>): string {
  const first = Array.from({ length: Math.min(shown, numbers.length) }, (_, i) => digits(numbers[i] as number));
  return `${first.join(' ')}${numbers.length > shown ? ' ...' : ''}`;
}

function extent(numbers: ArrayLike<number>): [low: number, high: number, sum: number] {
  let [low, high, sum] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
  for (let i = 0; i < numbers.length; i++) {
    const value = numbers[i] as number;
    low = Math.min(low, value);
    high = Math.max(high, value);
    sum += value;
  }
  return [low, high, sum];
}

function digits(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toPrecision(4);
}

/** The classes with the largest numbers, where an output has one number per label. */
function ranking(results: Results, { labels }: InferenceSession): string {
  const found = results.find(([, { dims, data }]) => data.length === labels?.length && dims.at(-1) === data.length);
  if (!labels || !found) return '';
  const ranked = Array.from(numbersOf(found[1]), (value, i) => ({ value, label: labels[i] as string }));
  ranked.sort((a, b) => b.value - a.value);
  return `\n${formatTable(
    ranked.slice(0, best).map(({ value, label }) => [label, digits(value)]),
    ['left', 'right'],
  )}`;
}
