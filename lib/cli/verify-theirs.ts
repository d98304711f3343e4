import { mismatch } from '../errors';
import { openModel } from '../formats/open-model';
import { Model, verifyEquivalence } from '../index';
import { readDims } from './dims';
import { inputFile } from './input';
import { misuse } from './usage';
import type { VerifyFlags } from './verify-command';
import { printReport } from './verify-report';

/** Opens a model of other origin; undefined for a file of anything else. */
export async function openTheirs(path: string, { model }: VerifyFlags): Promise<Model | undefined> {
  // Standard input can be read only once, and holds a network of this package.
  if (model !== undefined || path === '-') return undefined;
  const opened = await openModel(path);
  return opened instanceof Model ? opened : undefined;
}

/** Compares two models of other origin on random inputs. Returns whether every difference is within the tolerance. */
export async function verifyTheirs(model: Model, images: readonly string[], flags: VerifyFlags): Promise<boolean> {
  if (flags.deploy === undefined) {
    throw misuse('a second model to compare with, named by --deploy', 'none');
  }
  if (images.length > 0) throw misuse('no images for models of other origin', images.join(', '));
  const other = await openModel(await inputFile(flags.deploy));
  if (!(other instanceof Model)) {
    throw mismatch('ERR_MODEL_INCOMPATIBLE', '--deploy', 'a second model of other origin', `${other}`);
  }
  const names = model.inputs.map(({ name }) => name);
  const { samples, seed, tolerance } = flags;
  const inputDims = readDims(flags.dims, names);
  const report = await verifyEquivalence(model, other, { samples, seed, inputDims });
  const passed = report.whole.relativeL2 <= tolerance;
  if (flags.json) process.stdout.write(`${JSON.stringify({ tolerance, passed, ...report }, null, 2)}\n`);
  else printReport(report, `${model}\nagainst ${other}`, 0, tolerance, passed);
  return passed;
}
