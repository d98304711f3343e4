import { percent } from '../figures';
import type { Dataset, Images, InferenceSession, Network, QuantizedModel, Tensor } from '../index';
import { Ratio } from '../quant/report';
import { withSession } from '../runtime/with-session';
import { argmax } from '../train/tally';
import { findData, type LoadedPart, loadPart, partOf } from './data';
import { skippedText } from './data-text';
import { formatTable } from './table';
import { misuse } from './usage';
import type { VerifyFlags } from './verify-command';
import { readImages } from './verify-images';

/** Images per run of a session. */
const batchSize = 64;

/** How much a quantised model differs from the one in float. */
export interface Comparison {
  readonly images: number;
  /** Signal to quantisation noise of the logits, in decibels. */
  readonly sqnr: number;
  /** Share of images for which both predict the same class. */
  readonly agreement: number;
  /** Shares of right predictions, for images with labels. */
  readonly accuracy?: { readonly float: number; readonly quantized: number };
}

/** Images of a comparison, with labels where they have them. */
export interface Batch {
  readonly input: Images;
  readonly labels?: Int32Array;
}

/** The `verify` command for a quantised model. Returns whether the predictions agree often enough. */
export async function verifyQuantized(
  model: Network,
  quantized: QuantizedModel,
  files: readonly string[],
  flags: VerifyFlags,
): Promise<boolean> {
  requireImages([...files, ...(flags.data === undefined ? [] : [flags.data])]);
  const given = (await readImages(model, files)).map((input): Batch => ({ input }));
  const data = flags.data === undefined ? undefined : await openLabelled(model, flags.data, flags);
  const result = await compare(model, quantized, [...given, ...(data ? batchesOf(data.images) : [])]);
  const passed = result.agreement >= flags.agreement;
  if (flags.json) {
    process.stdout.write(
      `${JSON.stringify({ least: flags.agreement, passed, ...result, skipped: data?.skipped ?? [] }, null, 2)}\n`,
    );
  } else {
    if (data) process.stdout.write(skippedText(data));
    print(result, `${model}\nagainst ${quantized}`, flags.agreement, passed);
  }
  return passed;
}

/** @throws {UsageError} without images or folders of images to compare a quantised model on. */
export function requireImages(paths: readonly string[]): void {
  if (paths.length > 0) return;
  const expected = 'images like those that the model is for, as random ones tell nothing about a quantised model';
  throw misuse(expected, 'none; name files, or a folder with --data');
}

async function openLabelled({ options }: Network, folder: string, flags: VerifyFlags): Promise<LoadedPart> {
  const { inputSize, inChannels, labels } = options;
  const { validation, train } = await findData(folder);
  const reading = { inputSize, inChannels, ...(labels && { labels }), skipUnreadable: flags.skipUnreadable === true };
  return loadPart(partOf(validation ?? train, folder, 'to judge on'), reading);
}

/** Labelled images in batches. */
export function batchesOf(data: Dataset): Batch[] {
  return Array.from(data.parts(batchSize), ({ images, dims, labels }) => ({ input: { data: images, dims }, labels }));
}

/** Runs both on the same images. */
export async function compare(
  model: Network,
  quantized: QuantizedModel,
  batches: readonly Batch[],
): Promise<Comparison> {
  const options = { maxBatch: batchSize, preprocessing: model.options.preprocessing };
  return withSession(model.reparameterize(), options, (exact) =>
    withSession(quantized, options, (integer) => compareSessions(exact, integer, batches)),
  );
}

async function compareSessions(
  exact: InferenceSession,
  integer: InferenceSession,
  batches: readonly Batch[],
): Promise<Comparison> {
  const ratio = new Ratio();
  let [images, same, labelled, right, rightQuantized] = [0, 0, 0, 0, 0];
  for (const { input, labels } of batches) {
    const [{ logits: a }, { logits: b }] = await Promise.all([exact.run({ input }), integer.run({ input })]);
    ratio.add(a.data, b.data);
    const [expected, received] = [predictions(a), predictions(b)];
    expected.forEach((prediction, i) => {
      images++;
      if (prediction === received[i]) same++;
      if (!labels) return;
      labelled++;
      if (prediction === labels[i]) right++;
      if (received[i] === labels[i]) rightQuantized++;
    });
  }
  return {
    images,
    sqnr: ratio.decibels,
    agreement: same / images,
    ...(labelled > 0 && { accuracy: { float: right / labelled, quantized: rightQuantized / labelled } }),
  };
}

function predictions({ data, dims }: Tensor): number[] {
  const [count, classes] = dims as [number, number];
  return Array.from({ length: count }, (_, i) => argmax(data.subarray(i * classes, (i + 1) * classes)));
}

function print({ images, sqnr, agreement, accuracy }: Comparison, title: string, least: number, passed: boolean): void {
  const rows = [
    ['images', images.toLocaleString('en-US')],
    ['signal to quantisation noise of the logits', `${sqnr.toFixed(1)} dB`],
    ['same predictions', percent(agreement)],
  ];
  if (accuracy) {
    rows.push(['accuracy in float', percent(accuracy.float)]);
    rows.push(['accuracy quantised', percent(accuracy.quantized)]);
  }
  const verdict = passed
    ? `The two agree on ${percent(least)} of the images or more.`
    : `The two DISAGREE: fewer than ${percent(least)} of the predictions are the same.`;
  process.stdout.write(`${title}\n\n${formatTable(rows, ['left', 'right'])}${verdict}\n`);
}
