import { mismatch, within } from '../errors';
import { placeOf } from '../formats/files';
import { openOwnModel } from '../formats/open-model';
import { type Network, QuantizedModel, verifyEquivalence } from '../index';
import { asText } from '../nn/state/traits';
import { inputFile } from './input';
import { openNetwork } from './network-file';
import { choiceText } from './tensor-choice';
import { misuse } from './usage';
import type { VerifyFlags } from './verify-command';
import { randomImages, readImages } from './verify-images';
import { verifyQuantized } from './verify-quantized';
import { printReport } from './verify-report';
import { openTheirs, verifyTheirs } from './verify-theirs';

/** The `verify` command. Returns whether every difference is within the tolerance. */
export async function verifyFile(path: string, images: readonly string[], flags: VerifyFlags): Promise<boolean> {
  const theirs = await openTheirs(path, flags);
  if (theirs) return verifyTheirs(theirs, images, flags);
  const { network: model, choice } = await openNetwork(await inputFile(path), flags);
  if (!flags.json) process.stdout.write(choiceText(choice));
  const given = flags.deploy === undefined ? undefined : await openOwnModel(await inputFile(flags.deploy));
  if (given) within(placeOf(flags.deploy), () => checkShape(model, given));
  if (given instanceof QuantizedModel) return verifyQuantized(model, given, images, flags);
  if (flags.data !== undefined) {
    const received = given ? 'one in float' : 'none; name one with --deploy';
    throw misuse('--data', 'a quantised model to compare with', received);
  }
  if (model.form === 'deploy' && !given) {
    const expected = 'a model in train or partial form, to compare with its deploy form';
    const received = `one in deploy form already; name the file it was made from, and this one with --deploy: qarepvgg verify trained.safetensors --deploy ${path}`;
    throw mismatch('ERR_MODEL_INCOMPATIBLE', placeOf(path), expected, received);
  }
  const other = given ?? model.reparameterize();
  const inputs = [...randomImages(model, flags), ...(await readImages(model, images))];
  const report = verifyEquivalence(model, other, { inputs });
  const passed = [...report.blocks, report.whole].every(({ relativeL2 }) => relativeL2 <= flags.tolerance);
  if (flags.json) {
    const { tolerance } = flags;
    const result = { ...(choice && { tensors: choice }), tolerance, passed, images: images.length, ...report };
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  } else {
    printReport(report, `${model}\nagainst ${other}`, images.length, flags.tolerance, passed);
  }
  return passed;
}

/**
 * Refuses, before anything is computed, a model that cannot have been made from the other. @throws {QARepVGGError}
 * ERR_MODEL_INCOMPATIBLE
 */
function checkShape({ options }: Network, other: Network | QuantizedModel): void {
  for (const name of ['inChannels', 'numClasses', 'blocks', 'channels', 'strides'] as const) {
    const [expected, received] = [options[name], other.options[name]].map(asText);
    if (expected === received) continue;
    throw mismatch('ERR_MODEL_INCOMPATIBLE', `${name} ${expected}, as in the other model`, `${received}`);
  }
}
