import { mismatch } from '../errors';
import { placeOf } from './files';

/** Kinds of model files: how their names end, who writes them, and what else to do with one that came unexpectedly. */
const formats = {
  safetensors: {
    ending: /\.safetensors$/i,
    file: 'a safetensors file',
    writer: 'saveModel, or qarepvgg fuse,',
    advice: 'read it with loadModel, or give it a name that does not end in .onnx',
  },
  ONNX: {
    ending: /\.onnx$/i,
    file: 'an ONNX file',
    writer: 'exportOnnx, or qarepvgg export,',
    advice: 'read it with importOnnx, or give it a name that ends in .onnx',
  },
} as const;

/** Kinds of model files that this package reads and writes. */
export type FileFormat = keyof typeof formats;

const torch = { file: 'a file of PyTorch', advice: 'read it with loadStateDict, or on the command line with --model' };

/** What a file is by its name; nothing for the many names that do not say. */
export function formatOf(path: string): FileFormat | undefined {
  return (Object.keys(formats) as FileFormat[]).find((format) => formats[format].ending.test(path));
}

/**
 * The rule for every file that is written: a name that ends in .safetensors or .onnx is kept for files of that kind; any
 * other name is as good as the next.
 *
 * @param format What is to be written; 'report' for what is no model.
 * @throws {QARepVGGError} ERR_INVALID_ARG
 */
export function checkEnding(path: string, format: FileFormat | 'report', where: string): void {
  const place = placeOf(path, where);
  const named = formatOf(path);
  if (named === undefined || named === format) return;
  const expected = `a name for ${format === 'report' ? 'a report' : formats[format].file}`;
  const { file, writer } = formats[named];
  throw mismatch('ERR_INVALID_ARG', place, expected, `one for ${file}, which ${writer} writes`);
}

/**
 * Refuses, with advice, a file that is plainly of another kind than the reader expects.
 *
 * @param start The first 8 bytes or more.
 * @throws {QARepVGGError} ERR_MODEL_FORMAT
 */
export function checkStart(start: Uint8Array, expected: FileFormat, where: string): void {
  const received = recognise(start);
  if (received === undefined || received === expected) return;
  const { file, advice } = received === 'PyTorch' ? torch : formats[received];
  throw mismatch('ERR_MODEL_FORMAT', where, formats[expected].file, `${file}; ${advice}`);
}

function recognise(start: Uint8Array): FileFormat | 'PyTorch' | undefined {
  if (start.length < 8) return undefined;
  const [first, second] = start;
  if (first === 0x50 && second === 0x4b) return 'PyTorch';
  // The length of a header in 8 bytes, little-endian and far below 4 GiB.
  if (start.subarray(4, 8).every((byte) => byte === 0)) return 'safetensors';
  // Field 1, a number below 128: the version of the format.
  return first === 0x08 && (second as number) < 128 ? 'ONNX' : undefined;
}
