import { mismatch } from '../errors';
import { placeOf } from './files';

/** Kinds of model files: how their names end, who writes them, and what else to do with one that came unexpectedly. */
const formats = {
  safetensors: {
    ending: /\.safetensors$/i,
    writer: 'saveModel, or qarepvgg fuse,',
    advice: 'a safetensors file; read it with loadModel, or give it a name that does not end in .onnx',
  },
  ONNX: {
    ending: /\.onnx$/i,
    writer: 'exportOnnx, or qarepvgg export,',
    advice: 'an ONNX file; read it with importOnnx, or give it a name that ends in .onnx',
  },
} as const;

/** Kinds of model files that this package reads and writes. */
export type FileFormat = keyof typeof formats;

const adviceOnTorch = 'a file of PyTorch; read it with loadStateDict, or on the command line with --model';

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
  const { writer } = formats[named];
  throw mismatch('ERR_INVALID_ARG', place, `the name of a ${format} file`, `that of ${named}, which ${writer} writes`);
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
  const advice = received === 'PyTorch' ? adviceOnTorch : formats[received].advice;
  throw mismatch('ERR_MODEL_FORMAT', where, expected === 'ONNX' ? 'an ONNX file' : 'a safetensors file', advice);
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
