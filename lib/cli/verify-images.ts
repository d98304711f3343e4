import { mismatch } from '../errors';
import { sizeOf } from '../image-size';
import { type Network, randn, readImage, type Tensor } from '../index';
import { preprocess } from '../preprocessing';
import { Random } from '../random';
import type { VerifyFlags } from './verify-command';

/** Reads the files as inputs of the network. */
export function readImages(model: Network, files: readonly string[]): Promise<Tensor[]> {
  return Promise.all(files.map((file) => readInput(file, model)));
}

/** Random numbers as images. */
export function randomImages(
  { options: { inChannels, inputSize } }: Network,
  { samples, seed }: VerifyFlags,
): Tensor[] {
  const random = new Random(seed);
  const dims = [1, inChannels, ...sizeOf(inputSize)];
  return Array.from({ length: samples }, () => randn(dims, { seed: random.bits() }));
}

/** Reads one image as an input of the network. */
async function readInput(
  file: string,
  { options: { inChannels, inputSize, preprocessing } }: Network,
): Promise<Tensor> {
  if (inChannels !== 1 && inChannels !== 3) {
    throw mismatch('ERR_MODEL_INCOMPATIBLE', file, 'a network for grey or colour images', `${inChannels} channels`);
  }
  const [height, width] = sizeOf(inputSize);
  const { data, dims } = await readImage(file, { height, width, channels: inChannels });
  return preprocess(data, dims, preprocessing);
}
