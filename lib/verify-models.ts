import { boundary, describe, describeList, mismatch, within } from './errors';
import type { GraphTensor, Value } from './graph/graph';
import { sizeOf } from './graph/graph';
import type { InputDims } from './graph/specialize';
import { numbersOf, tensorOf } from './graph/tensors';
import { completeInputDims } from './model/input-dims';
import type { InputShapes, Model } from './model/model';
import { anything, checkOption, integer, parseOptions, readForeign, seedField, wrongOption } from './options';
import { Random } from './random';
import type { Feeds, Fetches } from './runtime/feeds';
import { withSession } from './runtime/with-session';
import { randn, type Tensor } from './tensor';
import { compareOutputs, type EquivalenceReport, worse } from './verify';

/** Options of `verifyEquivalence` for models. */
export interface ModelVerifyOptions {
  /** Number of random inputs. @default 4 */
  readonly samples?: number;
  /** Seed of the random inputs: normal deviates, or integers from 0 to 9. @default 0 */
  readonly seed?: number;
  /** Dims of the random inputs, by name. @default the model's own, and 1 for an open number of images */
  readonly inputDims?: InputShapes;
  /** Compare on these inputs instead of on random ones: each what a session's `run` takes. */
  readonly inputs?: readonly Feeds[];
}

const fields = { samples: integer(1, 10_000, 4), seed: seedField, inputDims: anything, inputs: anything };

/** `verifyEquivalence` for models: in sessions with the strict algorithm, with an entry for each output. */
export async function verifyModels(a: Model, b: Model, options: ModelVerifyOptions): Promise<EquivalenceReport> {
  return boundary('verifyEquivalence', async () => {
    const checked = parseOptions(fields, options);
    checkNames(a, b);
    const feeds = checked.inputs === undefined ? randomFeeds(a, checked) : readFeeds(checked.inputs);
    const [first, second] = [await resultsOf(a, feeds), await resultsOf(b, feeds)];
    const outputs = a.outputs.map(({ name }) => {
      const each = feeds.map((_, i) => {
        const [expected, received] = [first, second].map((results) => floatsOf(results[i]?.[name] as Fetches[string]));
        return within(name, () => compareOutputs(name, expected as Tensor, received as Tensor));
      });
      return each.reduce(worse);
    });
    const whole = { ...outputs.reduce(worse), name: `${a}` };
    return { samples: feeds.length, blocks: outputs, whole };
  });
}

function checkNames(a: Model, b: Model): void {
  for (const side of ['inputs', 'outputs'] as const) {
    const [expected, received] = [a, b].map((model) => model[side].map(({ name }) => name)) as [string[], string[]];
    if (`${[...expected].sort()}` === `${[...received].sort()}`) continue;
    throw mismatch('ERR_MODEL_INCOMPATIBLE', `${side} ${describeList(expected)}`, describeList(received));
  }
}

async function resultsOf(model: Model, feeds: readonly Feeds[]): Promise<Fetches[]> {
  return withSession(model, { algorithm: 'gemm' }, async (session) => {
    const results: Fetches[] = [];
    for (const feed of feeds) results.push(await session.run(feed));
    return results;
  });
}

function floatsOf({ data, dims }: Fetches[string]) {
  return { data: Float32Array.from(numbersOf({ data } as GraphTensor)), dims };
}

function readFeeds(inputs: unknown): Feeds[] {
  const list = within('option inputs', () => readForeign(() => (Array.isArray(inputs) ? [...inputs] : inputs)));
  if (Array.isArray(list) && list.length > 0) return list as Feeds[];
  throw wrongOption('inputs', 'an array of at least one object of tensors', describe(list));
}

interface Draw {
  readonly samples: number;
  readonly seed: number;
  readonly inputDims: unknown;
}

function randomFeeds({ graph }: Model, { samples, seed, inputDims }: Draw): Feeds[] {
  const all = checkOption('inputDims', () => completeInputDims(graph, inputDims));
  const random = new Random(seed);
  return Array.from({ length: samples }, () => randomFeed({ graph }, all, random));
}

/** Random numbers for every input. */
export function randomFeed({ graph }: Pick<Model, 'graph'>, dims: InputDims, random: Random): Feeds {
  const draw = ({ name, type }: Value) => {
    const own = dims.get(name) as number[];
    if (type === 'float32') return randn(own, { seed: random.bits() });
    const numbers = Float64Array.from({ length: sizeOf(own) }, () => random.bits() % (type === 'bool' ? 2 : 10));
    return tensorOf(type, own, numbers);
  };
  return Object.fromEntries(graph.inputs.map((input) => [input.name, draw(input) as Tensor]));
}
