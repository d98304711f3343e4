import { mismatch } from '../errors';
import { placeOf } from '../formats/files';
import { openModel } from '../formats/open-model';
import { type Difference, type EquivalenceReport, type Network, QuantizedModel, verifyEquivalence } from '../index';
import { asText } from '../nn/traits';
import { openNetwork } from './network-file';
import { formatTable } from './table';
import { misuse } from './usage';
import type { VerifyFlags } from './verify-command';
import { randomImages, readImages } from './verify-images';
import { verifyQuantized } from './verify-quantized';

/** The `verify` command. Whether no difference is larger than the tolerance. */
export async function verifyFile(path: string, images: readonly string[], flags: VerifyFlags): Promise<boolean> {
  const where = 'verify';
  const model = await openNetwork(path, flags, where);
  const given = flags.deploy === undefined ? undefined : await openModel(flags.deploy, where);
  if (given) checkShape(model, given, placeOf(flags.deploy, where));
  if (given instanceof QuantizedModel) return verifyQuantized(model, given, images, flags);
  if (flags.data !== undefined) {
    const received = given ? 'one in float' : 'none; name one with --deploy';
    throw misuse('verify, --data', 'a quantised model to compare with', received);
  }
  if (model.form === 'deploy' && !given) {
    const expected = 'a model in train or partial form, to compare with its deploy form';
    const received = `one in deploy form already; name the file it was made from, and this one with --deploy: qarepvgg verify trained.safetensors --deploy ${path}`;
    throw mismatch('ERR_MODEL_INCOMPATIBLE', placeOf(path, where), expected, received);
  }
  const other = given ?? model.reparameterize();
  const inputs = [...randomImages(model, flags), ...(await readImages(model, images))];
  const report = verifyEquivalence(model, other, { inputs });
  const passed = [...report.blocks, report.whole].every(({ relativeL2 }) => relativeL2 <= flags.tolerance);
  if (flags.json) {
    const { tolerance } = flags;
    process.stdout.write(`${JSON.stringify({ tolerance, passed, images: images.length, ...report }, null, 2)}\n`);
  } else {
    print(report, `${model} against ${other}`, images.length, flags.tolerance, passed);
  }
  return passed;
}

/** Refuses, before anything is computed, what cannot have been made of the model. @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE */
function checkShape({ options }: Network, other: Network | QuantizedModel, where: string): void {
  for (const name of ['inChannels', 'numClasses', 'blocks', 'channels', 'strides'] as const) {
    const [expected, received] = [options[name], other.options[name]].map(asText);
    if (expected === received) continue;
    throw mismatch(
      'ERR_MODEL_INCOMPATIBLE',
      where,
      `${name} ${expected}, as the model compared with has`,
      `${received}`,
    );
  }
}

function print(
  { blocks, whole, samples }: EquivalenceReport,
  title: string,
  images: number,
  tolerance: number,
  passed: boolean,
): void {
  const row = ({ name, maxAbsolute, maxRelative, relativeL2 }: Difference): string[] => [
    name,
    ...[maxAbsolute, maxRelative, relativeL2].map((value) => value.toExponential(1)),
    relativeL2 > tolerance ? '<- too large' : '',
  ];
  const head = ['', 'max absolute', 'max relative', 'relative L2', ''];
  const rows = [head, ...blocks.map(row), row({ ...whole, name: 'whole' })];
  const verdict = passed
    ? `The two compute the same: no block differs by more than ${tolerance} (relative L2).`
    : `The two DIFFER by more than ${tolerance} (relative L2).`;
  process.stdout.write(
    `${title}\n${samples - images} random images, ${images} from files\n\n` +
      `${formatTable(rows, ['left', 'right', 'right', 'right', 'left'])}${verdict}\n`,
  );
}
