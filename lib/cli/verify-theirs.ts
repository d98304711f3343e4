import { mismatch } from '../errors';
import { openModel } from '../formats/open-model';
import { type Feeds, Model, verifyEquivalence } from '../index';
import { sidesOf } from '../model/image-layout';
import { listImages } from '../vision/list-images';
import { readDims, requireDims } from './dims';
import { inputFile } from './input';
import { spreadOver } from './quantize';
import { mostJudged } from './quantize-accuracy';
import { type PhotoInput, photoInputOf, photoLayout, photoTensors } from './quantize-photos';
import { misuse } from './usage';
import type { VerifyFlags } from './verify-command';
import { requireImages } from './verify-quantized';
import { printReport } from './verify-report';
import { verifyTheirsQuantized } from './verify-theirs-quantized';

/** Opens a model of other origin; undefined for a file of anything else. */
export async function openTheirs(path: string, { model }: VerifyFlags): Promise<Model | undefined> {
  // Standard input can be read only once, and holds a network of this package.
  if (model !== undefined || path === '-') return undefined;
  const opened = await openModel(path);
  return opened instanceof Model ? opened : undefined;
}

/** Compares two models of other origin on images, or else on random inputs. Returns whether they compute the same. */
export async function verifyTheirs(model: Model, images: readonly string[], flags: VerifyFlags): Promise<boolean> {
  if (flags.deploy === undefined) {
    throw misuse('a second model to compare with, named by --deploy', 'none');
  }
  const other = await openModel(await inputFile(flags.deploy));
  if (!(other instanceof Model)) {
    throw mismatch('ERR_MODEL_INCOMPATIBLE', '--deploy', 'a second model of other origin', `${other}`);
  }
  const names = model.inputs.map(({ name }) => name);
  const inputDims = readDims(flags.dims, names);
  if (other.form === 'int8' && model.form !== 'int8') {
    const paths = [...images, ...(flags.data === undefined ? [] : await photosIn(flags.data))];
    requireImages(paths);
    return verifyTheirsQuantized(model, other, paths, photoInput(model, inputDims, flags), flags);
  }
  if (flags.data !== undefined) throw misuse('--data', 'a quantised model to compare with', 'one in float');
  const { samples, seed, tolerance } = flags;
  const inputs: Feeds[] = [];
  if (images.length > 0) {
    for await (const photo of photoTensors(images, photoInput(model, inputDims, flags))) {
      inputs.push({ [names[0] as string]: photo });
    }
  }
  if (inputs.length === 0) requireDims(model.inputs, inputDims);
  const report = await verifyEquivalence(model, other, inputs.length > 0 ? { inputs } : { samples, seed, inputDims });
  const passed = report.whole.relativeL2 <= tolerance;
  if (flags.json) process.stdout.write(`${JSON.stringify({ tolerance, passed, ...report }, null, 2)}\n`);
  else printReport(report, `${model}\nagainst ${other}`, images.length, tolerance, passed);
  return passed;
}

async function photosIn(folder: string): Promise<string[]> {
  const { images } = await listImages(folder, true);
  return spreadOver(
    images.map(({ path }) => path),
    mostJudged,
  );
}

function photoInput(
  model: Model,
  dims: Readonly<Record<string, readonly number[]>>,
  { inputSize }: VerifyFlags,
): PhotoInput {
  const [input] = model.inputs;
  const layout = input && photoLayout(input);
  const given = input && dims[input.name];
  const size = layout && given ? (sidesOf(given, layout) as [number, number]) : inputSize;
  return photoInputOf(model, size ? { size } : {});
}
