import { mismatch } from '../errors';
import { decodeImage } from '../formats/decode';
import { openModel } from '../formats/open-model';
import { type Difference, type EquivalenceReport, type Network, randn, type Tensor, verifyEquivalence } from '../index';
import { preprocess } from '../preprocessing';
import { Random } from '../random';
import { openNetwork } from './network-file';
import { formatTable } from './table';
import type { VerifyFlags } from './verify-command';

/** The `verify` command. Whether no difference is larger than the tolerance. */
export async function verifyFile(path: string, images: readonly string[], flags: VerifyFlags): Promise<boolean> {
  const model = await openNetwork(path, flags);
  if (model.form === 'deploy' && flags.deploy === undefined) {
    const received = 'one in deploy form; name the file it was made from, and this one with --deploy';
    throw mismatch('ERR_MODEL_INCOMPATIBLE', path, 'a model with branches', received);
  }
  const other = flags.deploy === undefined ? model.reparameterize() : ((await openModel(flags.deploy)) as Network);
  const inputs = [...randomImages(model, flags), ...(await Promise.all(images.map((file) => readImage(file, model))))];
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

function randomImages({ options: { inChannels, inputSize } }: Network, { samples, seed }: VerifyFlags): Tensor[] {
  const random = new Random(seed);
  const dims = [1, inChannels, inputSize, inputSize];
  return Array.from({ length: samples }, () => randn(dims, { seed: random.bits() }));
}

/** An image as the network takes it. */
async function readImage(
  file: string,
  { options: { inChannels, inputSize, preprocessing } }: Network,
): Promise<Tensor> {
  if (inChannels !== 1 && inChannels !== 3) {
    throw mismatch('ERR_MODEL_INCOMPATIBLE', file, 'a network for grey or colour images', `${inChannels} channels`);
  }
  const size = { height: inputSize, width: inputSize };
  const { data } = await decodeImage(file, { size, channels: inChannels }, 'verify');
  return preprocess(data, [1, inputSize, inputSize, inChannels], preprocessing);
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
