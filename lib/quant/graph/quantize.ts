import type { GraphNode } from '../../graph/graph';
import { Model } from '../../model/model';
import { throwIfAborted } from '../../runtime/abort';
import { type Calibration, CalibrationReader, isRepeatable } from '../calibration';
import {
  type CheckedQuantizeOptions,
  type QuantizationProgress,
  type QuantizeOptions,
  readQuantizeOptions,
} from '../options';
import type { QuantizationReport } from '../report';
import { adviseFloat, type Biases, leastDecibels, type Noise, wantedDecibels, worstOutput } from './advice';
import { type AssembledGraph, assembleGraph } from './assemble';
import { correctGraphBiases } from './bias-correction';
import { equalizeGraph } from './equalize';
import { dimsOfChunk, feedChunks } from './feeds';
import { completed, type FloatGraph, readFloatGraph } from './float-graph';
import { keptNames } from './keep-float';
import { measureNoise } from './measure';
import type { FeedChunk } from './observer';
import { chooseForValues } from './parameters';
import { type IntegerPlan, planIntegers } from './plan';
import { judgedValues, makeGraphReport, shownValues } from './report';
import { type FeedPass, feedPass, type GraphStatistics, observe, passOver } from './statistics';

/** What `quantize` resolves to for a {@link Model}. */
export interface ModelQuantization {
  readonly model: Model;
  readonly report: QuantizationReport;
}

/** `quantize` for a {@link Model}. */
export async function quantizeModel(
  model: Model,
  calibration: Calibration,
  options: QuantizeOptions,
  where: string,
): Promise<ModelQuantization> {
  const checked = readQuantizeOptions(options, where);
  const plain = await attempt(model, calibration, checked, where);
  const { equalize = true, biasCorrection = true } = checked;
  const isOpen = checked.equalize === undefined || checked.biasCorrection === undefined;
  const isLoud = plain.worst < wantedDecibels && isRepeatable(calibration);
  const wider =
    isOpen && isLoud && (await attempt(model, calibration, { ...checked, equalize, biasCorrection }, where));
  return finish(model, wider && wider.worst > plain.worst ? wider : plain, where);
}

/** A quantised model, and how accurate it is. */
interface Attempt extends Calibrated {
  readonly options: CheckedQuantizeOptions;
  readonly assembled: AssembledGraph;
  readonly biases: Biases;
  readonly noise: Noise;
  /** Signal to noise of the worst output. */
  readonly worst: number;
}

async function attempt(
  model: Model,
  calibration: Calibration,
  options: CheckedQuantizeOptions,
  where: string,
): Promise<Attempt> {
  const calibrated = await calibrate(model, calibration, options, where);
  const { reader, float, plan, statistics } = calibrated;
  const choices = await chooseForValues(plan, statistics.histograms, options, where);
  let assembled = await assembleGraph(plan, choices, options, where);
  let biases: Biases = new Map();
  if (options.biasCorrection) {
    const before = assembled;
    biases = await pass(reader, 'correct', options, where, (images) =>
      correctGraphBiases(before, images, options, where),
    );
    assembled = await assembleGraph(plan, choices, options, where, biases);
  }
  const noise = await measureNoise(float.graph, assembled, judgedValues(plan), statistics.sample, options, where);
  return { ...calibrated, options, assembled, biases, noise, worst: worstOutput(noise, plan) };
}

async function finish(
  model: Model,
  { options, float, plan, statistics, isKept, assembled, biases, noise, worst }: Attempt,
  where: string,
): Promise<ModelQuantization> {
  const quantized = modelOf(model, assembled.graph, float);
  const isLoud = worst < leastDecibels;
  const advice = isLoud ? await adviseFloat(plan, statistics, isKept, biases, options, where) : undefined;
  const parts = { model: `${quantized}`, assembled, noise, advice, ...statistics };
  return { model: quantized, report: await makeGraphReport(parts, options, where) };
}

export interface Calibrated {
  /** Reads the images again, for another pass. */
  readonly reader: CalibrationReader<FeedChunk>;
  /** Whether the caller keeps a node in float. */
  readonly isKept: (node: GraphNode) => boolean;
  readonly float: FloatGraph;
  readonly plan: IntegerPlan;
  readonly statistics: GraphStatistics;
}

/** Makes a plan for the dims of the first images, and observes all images. */
export async function calibrate(
  model: Model,
  calibration: Calibration,
  options: CheckedQuantizeOptions,
  where: string,
): Promise<Calibrated> {
  const reader = new CalibrationReader<FeedChunk>(calibration, feedChunks(model), options.signal, where);
  throwIfAborted(options.signal, where);
  const read = async (chunk: FeedChunk): Promise<FloatGraph> => readFloatGraph(model, dimsOfChunk(chunk, model), where);
  const equal = options.equalize
    ? await pass(reader, 'equalize', options, where, async (images) => {
        const float = await read(images.first);
        return { ...float, graph: await equalizeGraph(float.graph, images, options, where) };
      })
    : undefined;
  return pass(reader, 'calibrate', options, where, async (images) => {
    const float = equal ?? (await read(images.first));
    const isNamed = keptNames(options.keepFloat, [float.graph, model.graph], where);
    const isKept = ({ name }: GraphNode): boolean => isNamed(name);
    const plan = planIntegers(float.graph, { isKept, quantizeLogits: options.quantizeLogits });
    const names = inOrder(float, new Set([...plan.values, ...shownValues(plan)]));
    const statistics = await observe(float.graph, names, images, options, where);
    return { reader, float, plan, statistics, isKept };
  });
}

/** Makes a pass over the images. The first ones are read before it begins. */
async function pass<T>(
  reader: CalibrationReader<FeedChunk>,
  stage: QuantizationProgress['stage'],
  options: CheckedQuantizeOptions,
  where: string,
  work: (images: FeedPass) => Promise<T>,
): Promise<T> {
  const chunks = feedPass(reader, stage, options, where);
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

/** The whole model with another graph. */
export function modelOf(
  { graph: whole, labels, preprocessing }: Model,
  graph: FloatGraph['graph'],
  { tail }: FloatGraph,
): Model {
  return new Model(completed(graph, tail, whole), {
    ...(labels && { labels }),
    ...(preprocessing && { preprocessing }),
  });
}
