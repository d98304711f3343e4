import { mismatch } from '../errors';
import { openModel } from '../formats/open-model';
import { Model, verifyEquivalence } from '../index';
import { readDims } from './dims';
import { inputFile } from './input';
import { misuse } from './usage';
import type { VerifyFlags } from './verify-command';
import { printReport } from './verify-report';

/** Of a model of other origin; nothing for a file that holds something else. */
export async function openTheirs(path: string, { model }: VerifyFlags): Promise<Model | undefined> {
  // Standard input can be read once; a network of this package is expected there.
  if (model !== undefined || path === '-') return undefined;
  const opened = await openModel(path, 'verify');
  return opened instanceof Model ? opened : undefined;
}

/** Compares two models of other origin on random inputs. Whether no output differs by more than the tolerance. */
export async function verifyTheirs(model: Model, images: readonly string[], flags: VerifyFlags): Promise<boolean> {
  const where = 'verify';
  if (flags.deploy === undefined) {
    throw misuse(where, 'a model to compare with, named by --deploy, as the file is of other origin', 'none');
  }
  if (images.length > 0) throw misuse(where, 'no images for models of other origin', images.join(', '));
  const other = await openModel(await inputFile(flags.deploy), where);
  if (!(other instanceof Model)) {
    throw mismatch('ERR_MODEL_INCOMPATIBLE', `${where}, --deploy`, 'a model of other origin, too', `${other}`);
  }
  const names = model.inputs.map(({ name }) => name);
  const { samples, seed, tolerance } = flags;
  const inputDims = readDims(flags.dims, names, where);
  const report = await verifyEquivalence(model, other, { samples, seed, inputDims });
  const passed = report.whole.relativeL2 <= tolerance;
  if (flags.json) process.stdout.write(`${JSON.stringify({ tolerance, passed, ...report }, null, 2)}\n`);
  else printReport(report, `${model}\nagainst ${other}`, 0, tolerance, passed);
  return passed;
}
