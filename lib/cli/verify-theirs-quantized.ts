import { percent } from '../figures';
import type { InferenceSession, Model, Tensor } from '../index';
import { leastDecibels } from '../quant/advice';
import { Ratio } from '../quant/report';
import { withSession } from '../runtime/with-session';
import { argmax } from '../train/tally';
import { type PhotoInput, type PhotoTensor, photoTensors } from './quantize-photos';
import { formatTable } from './table';
import type { VerifyFlags } from './verify-command';

/** How much an output of a quantised model differs from that of the one in float. */
interface OutputComparison {
  readonly name: string;
  /** Signal to quantisation noise in decibels. */
  readonly sqnr: number;
  /** Share of images for which both predict the same class, for an output [n, classes]. */
  readonly agreement?: number;
  readonly passed: boolean;
}

/** Compares a model with its quantised form on photographs. Returns whether each output is close enough. */
export async function verifyTheirsQuantized(
  model: Model,
  quantized: Model,
  paths: readonly string[],
  input: PhotoInput,
  flags: VerifyFlags,
): Promise<boolean> {
  const skipped: { path: string; reason: string }[] = [];
  const onUnreadable = (path: string, { message: reason }: Error) => skipped.push({ path, reason });
  const photos = photoTensors(paths, input, flags.skipUnreadable ? onUnreadable : undefined);
  const { images, outputs } = await withSession(model, {}, (exact) =>
    withSession(quantized, {}, (integer) => compare(exact, integer, photos, flags.agreement)),
  );
  const passed = images > 0 && outputs.every((output) => output.passed);
  if (flags.json) {
    const least = { agreement: flags.agreement, sqnr: leastDecibels };
    process.stdout.write(`${JSON.stringify({ least, passed, images, outputs, skipped }, null, 2)}\n`);
  } else {
    for (const { path, reason } of skipped) process.stdout.write(`${path}: skipped, ${reason}\n`);
    print(outputs, `${model}\nagainst ${quantized}, on ${images} images`, flags.agreement, passed);
  }
  return passed;
}

async function compare(
  exact: InferenceSession,
  integer: InferenceSession,
  photos: AsyncIterable<PhotoTensor>,
  leastAgreement: number,
): Promise<{ images: number; outputs: OutputComparison[] }> {
  const [name = ''] = exact.inputNames;
  const tallies = exact.outputMetadata
    .filter(({ type }) => type === 'float32')
    .map(({ name, shape }) => ({ name, isClasses: shape.length === 2, ratio: new Ratio(), same: 0 }));
  let images = 0;
  for await (const photo of photos) {
    const [expected, received] = await Promise.all([exact.run({ [name]: photo }), integer.run({ [name]: photo })]);
    images++;
    for (const tally of tallies) {
      const [a, b] = [expected, received].map((fetches) => (fetches[tally.name] as Tensor).data) as [
        Float32Array,
        Float32Array,
      ];
      tally.ratio.add(a, b);
      if (argmax(a) === argmax(b)) tally.same++;
    }
  }
  const outputs = tallies.map(({ name, isClasses, ratio, same }): OutputComparison => {
    const { decibels: sqnr } = ratio;
    if (!isClasses) return { name, sqnr, passed: sqnr >= leastDecibels };
    const agreement = same / images;
    return { name, sqnr, agreement, passed: agreement >= leastAgreement };
  });
  return { images, outputs };
}

function print(outputs: readonly OutputComparison[], title: string, agreement: number, passed: boolean): void {
  const rows = outputs.map(({ name, sqnr, agreement, passed }) => [
    name,
    `${sqnr.toFixed(1)} dB`,
    agreement === undefined ? '' : percent(agreement),
    passed ? '' : '<- too small',
  ]);
  const head = ['output', 'signal to noise', 'same class', ''];
  const limits: string[] = [];
  const haveClasses = outputs.map((output) => output.agreement !== undefined);
  if (haveClasses.includes(false)) limits.push(`${leastDecibels} dB`);
  if (haveClasses.includes(true)) limits.push(`the same class for ${percent(agreement)} of the images`);
  const least = limits.join(' or ');
  const verdict = passed ? `The two agree: at least ${least}.` : `The two DISAGREE: an output has less than ${least}.`;
  process.stdout.write(`${title}\n\n${formatTable([head, ...rows], ['left', 'right', 'right', 'left'])}${verdict}\n`);
}
