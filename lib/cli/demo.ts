import path from 'node:path';
import { styleText } from 'node:util';
import { percent } from '../figures';
import { type Dataset, info, loadFashionMnist, loadModel, type Network, type Tensor } from '../index';
import { preprocess } from '../preprocessing';
import { withSession } from '../runtime/with-session';
import { argmax } from '../train/tally';
import { compareOutputs } from '../verify';
import type { DemoFlags } from './demo-command';
import { drawImages, drawingsIn } from './draw';
import { median } from './numbers';
import { formatTable } from './table';

const packaged = (name: string): string => path.join(__dirname, '../..', name);

/** Largest relative L2 difference of the logits. Rounding causes about 1e-7, a mistake 1e-2. */
const tolerance = 1e-5;

const batchSize = 100;

/** A way to compute the logits of a batch of images. */
interface Way {
  readonly form: string;
  readonly call: string;
  readonly run: (images: Uint8Array, dims: number[]) => Promise<Tensor> | Tensor;
}

interface Outcome {
  readonly form: string;
  readonly call: string;
  readonly logits: Tensor;
  readonly predictions: Int32Array;
  readonly accuracy: number;
  /** Computed from the median of the runs. */
  readonly imagesPerSecond: number;
}

/** The `demo` command. Returns whether both forms predict the same. */
export async function demo(folder: string | undefined, { runs, json }: DemoFlags): Promise<boolean> {
  const model = (await loadModel<Network>(packaged('models/fashion-mnist.safetensors'))).eval();
  const images = await loadFashionMnist(folder ?? packaged('examples/data/fashion-mnist'), 'test');
  const deploy = model.reparameterize();
  const forward = (network: Network) => (bytes: Uint8Array, dims: number[]) =>
    network.forward(preprocess(bytes, dims, model.options.preprocessing));
  const outcomes = await withSession(deploy, { inputSize: model.options.inputSize }, (session) =>
    measure(images, runs, [
      { form: 'train form', call: 'model.forward', run: forward(model) },
      { form: 'deploy form', call: 'model.forward', run: forward(deploy) },
      {
        form: 'deploy form',
        call: 'InferenceSession',
        run: async (data, dims) => (await session.run({ input: { data, dims } })).logits,
      },
    ]),
  );
  const [train, , served] = outcomes as [Outcome, Outcome, Outcome];
  const difference = compareOutputs('logits', train.logits, served.logits);
  const different = outcomes.map((outcome) => countDifferent(train.predictions, outcome.predictions));
  const passed = different.every((count) => count === 0) && difference.relativeL2 <= tolerance;
  if (json) {
    const results = outcomes.map(({ logits: _, predictions: __, ...result }, i) => ({
      ...result,
      differentPredictions: different[i],
    }));
    const { name: _, ...differences } = difference;
    const summary = { ...info(), model: model.toString(), images: images.length, runs, passed, results };
    process.stdout.write(`${JSON.stringify({ ...summary, ...differences }, null, 2)}\n`);
    return passed;
  }
  const verdict =
    `${thousands(Math.max(...different))} of ${thousands(images.length)} predictions differ; logits differ by ` +
    `${difference.relativeL2.toExponential(1)} (relative L2).`;
  process.stdout.write(
    `${[introduction(model, images), table(outcomes), bold(verdict), '', ...draw(images, served)].join('\n')}\n`,
  );
  return passed;
}

/** Runs every way on all images: once for the results, then `runs` times for the time, in turns. */
async function measure(images: Dataset, runs: number, ways: readonly Way[]): Promise<Outcome[]> {
  const outputs = await Promise.all(ways.map((way) => classify(images, way)));
  const times = ways.map((): number[] => []);
  for (let run = 0; run < runs; run++) {
    for (const [i, way] of ways.entries()) {
      const start = performance.now();
      await classify(images, way);
      times[i]?.push(performance.now() - start);
    }
  }
  return ways.map(({ form, call }, i) => {
    const logits = outputs[i] as Tensor;
    const classes = logits.dims[1] as number;
    const predictions = Int32Array.from(images.labels, (_, image) =>
      argmax(logits.data.subarray(image * classes, (image + 1) * classes)),
    );
    const correct = images.length - countDifferent(predictions, images.labels);
    const imagesPerSecond = (1000 * images.length) / median(times[i] as number[]);
    return { form, call, logits, predictions, accuracy: correct / images.length, imagesPerSecond };
  });
}

async function classify(dataset: Dataset, { run }: Way): Promise<Tensor> {
  const parts: Tensor[] = [];
  for (const { images, dims } of dataset.parts(batchSize)) parts.push(await run(images, dims));
  const data = new Float32Array(parts.reduce((sum, part) => sum + part.data.length, 0));
  let offset = 0;
  for (const part of parts) {
    data.set(part.data, offset);
    offset += part.data.length;
  }
  return { data, dims: [dataset.length, ...(parts[0] as Tensor).dims.slice(1)] };
}

function countDifferent(a: Int32Array, b: Int32Array): number {
  return a.reduce((count, value, i) => count + (value === b[i] ? 0 : 1), 0);
}

function thousands(count: number): string {
  return count.toLocaleString('en-US');
}

function bold(text: string): string {
  return process.stdout.isTTY ? styleText('bold', text) : text;
}

function introduction(model: Network, images: Dataset): string {
  const { isa, threads } = info();
  const { parameters, deployParameters } = model.summary();
  const [height, width] = images.dims;
  return (
    `${bold('QARepVGG')}, ${model.options.blocks.reduce((sum, count) => sum + count, 1)} blocks, ${thousands(parameters)} parameters, ` +
    `${thousands(deployParameters)} re-parameterised\n` +
    `${thousands(images.length)} test images of ${width} x ${height}; ${isa}, ${threads} threads\n`
  );
}

function table(outcomes: readonly Outcome[]): string {
  const base = (outcomes[0] as Outcome).imagesPerSecond;
  const rows = outcomes.map(({ form, call, accuracy, imagesPerSecond }) => [
    form,
    call,
    percent(accuracy),
    thousands(Math.round(imagesPerSecond)),
    `${(imagesPerSecond / base).toFixed(2)}x`,
  ]);
  const head = ['', '', 'accuracy', 'images/s', ''];
  return formatTable([head, ...rows], ['left', 'left', 'right', 'right', 'right']);
}

/** The first images, as many as fit, with their predicted classes. */
function draw(images: Dataset, { predictions }: Outcome): string[] {
  const [, width, channels] = images.dims;
  if (channels !== 1) return [];
  const { isTTY, columns = 80 } = process.stdout;
  const count = Math.min(images.length, drawingsIn(columns, width));
  const drawings = Array.from({ length: count }, (_, i) => {
    const label = images.classes[images.label(i)];
    const taken = images.classes[predictions[i] as number];
    return { pixels: images.image(i), caption: taken === label ? `${taken}` : `${taken} (is: ${label})` };
  });
  return drawImages(drawings, width, isTTY === true && process.stdout.hasColors(2 ** 24));
}
