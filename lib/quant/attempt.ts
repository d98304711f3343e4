import type { GraphNode } from '../graph/graph';
import { throwIfAborted } from '../runtime/abort';
import { type Biases, type Noise, worstOutput } from './advice';
import { type AssembledGraph, assembleGraph } from './assemble';
import { correctBiases } from './bias-correction';
import { type Calibration, CalibrationReader } from './calibration';
import { equalize } from './equalize';
import { dimsOfChunk, feedChunks } from './feeds';
import { type FloatGraph, readFloatGraph } from './float-graph';
import { judgedValues, recipeOf, reportNodes, shownValues } from './make-report';
import { measureNoise } from './measure';
import type { FeedChunk } from './observer';
import type { CheckedQuantizeOptions, QuantizationProgress } from './options';
import { chooseForValues } from './parameters';
import type { IntegerPlan } from './plan';
import type { QuantizationReport } from './report';
import { type FeedPass, feedPass, observe, passOver, type Statistics } from './statistics';
import type { Subject } from './subject';

/** What calibration has found. */
export interface Calibrated {
  /** Reads the images again, for another pass. */
  readonly reader: CalibrationReader;
  /** Whether the caller keeps a node in float. */
  readonly isKept: (node: GraphNode) => boolean;
  readonly plan: IntegerPlan;
  readonly statistics: Statistics;
}

/** A quantised graph, and how accurate it is. */
export interface Attempt extends Calibrated {
  readonly options: CheckedQuantizeOptions;
  readonly assembled: AssembledGraph;
  readonly biases: Biases;
  readonly noise: Noise;
  /** Signal to noise of the worst output. */
  readonly worst: number;
}

/** Makes a plan for the dims of the first images, and observes all images. */
export async function calibrate<M>(
  subject: Subject<M>,
  calibration: Calibration,
  options: CheckedQuantizeOptions,
): Promise<Calibrated> {
  const { model } = subject;
  const reader = new CalibrationReader(calibration, feedChunks(model), options.signal);
  throwIfAborted(options.signal);
  const read = async (chunk: FeedChunk): Promise<FloatGraph> =>
    readFloatGraph(model, dimsOfChunk(chunk, model), subject.placeOf);
  const equal = options.equalize
    ? await pass(reader, 'equalize', options, async (images) => equalize(await read(images.first), images, options))
    : undefined;
  return pass(reader, 'calibrate', options, async (images) => {
    const float = equal ?? (await read(images.first));
    const isKept = subject.keptIn(float);
    const plan = subject.plan(float, { isKept, quantizeLogits: options.quantizeLogits });
    const names = inOrder(float, new Set([...plan.values, ...shownValues(subject.rows(plan), plan)]));
    const statistics = await observe(float, names, images, options);
    return { reader, plan, statistics, isKept };
  });
}

/** Quantises with these options. */
export async function attempt<M>(
  subject: Subject<M>,
  calibration: Calibration,
  options: CheckedQuantizeOptions,
): Promise<Attempt> {
  const calibrated = await calibrate(subject, calibration, options);
  const { reader, plan, statistics } = calibrated;
  const choices = await chooseForValues(plan, statistics.histograms, options);
  let assembled = await assembleGraph(plan, choices, options);
  let biases: Biases = new Map();
  if (options.biasCorrection) {
    const before = assembled;
    biases = await pass(reader, 'correct', options, (images) =>
      correctBiases(before, subject.correctsInTurn, images, options),
    );
    assembled = await assembleGraph(plan, choices, options, biases);
  }
  const names = judgedValues(subject.rows(plan), plan);
  const noise = await measureNoise(plan.float.graph, assembled, names, statistics.sample, options);
  return { ...calibrated, options, assembled, biases, noise, worst: worstOutput(noise, plan) };
}

/** Makes the model and the report of an attempt. */
export async function finish<M>(
  subject: Subject<M>,
  { options, statistics, assembled, noise }: Attempt,
): Promise<{ model: M; report: QuantizationReport }> {
  const { histograms, images } = statistics;
  const recipe = recipeOf(options, images);
  const { model, bytes, floatBytes } = subject.finish(assembled, recipe);
  const rows = await reportNodes({ subject, assembled, histograms, noise }, options);
  const createdAt = new Date().toISOString();
  return { model, report: { createdAt, model: `${model}`, recipe, bytes, floatBytes, ...rows } };
}

/** Makes a pass over the images. The first ones are read before it begins. */
async function pass<T>(
  reader: CalibrationReader,
  stage: QuantizationProgress['stage'],
  options: CheckedQuantizeOptions,
  work: (images: FeedPass) => Promise<T>,
): Promise<T> {
  const chunks = feedPass(reader, stage, options);
  const { value: first } = (await chunks.next()) as { value: FeedChunk };
  try {
    return await work({ first, chunks: passOver(first, chunks) });
  } finally {
    await chunks.return(undefined);
  }
}

/** Values in the order in which they are computed. */
function inOrder({ graph }: FloatGraph, names: ReadonlySet<string>): string[] {
  const all = [...graph.inputs.map(({ name }) => name), ...graph.nodes.flatMap(({ outputs }) => outputs)];
  return all.filter((name) => names.has(name));
}
