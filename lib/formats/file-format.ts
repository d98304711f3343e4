import { mismatch } from '../errors';
import { foreignKind } from './file-kinds';
import { pathOf, placeOf } from './sources';

/** Kinds of model files: how their names end, what writes them, and what to do with an unexpected one. */
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

const torch = { file: 'a PyTorch file', advice: 'read it with loadStateDict, or on the command line with --model' };

const readers = { ...formats, PyTorch: torch };

/** The format that a file's name shows; undefined for other names. */
export function formatOf(path: string): FileFormat | undefined {
  return (Object.keys(formats) as FileFormat[]).find((format) => formats[format].ending.test(path));
}

/**
 * The rule for every file that is written: a name that ends in .safetensors or .onnx is reserved for files of that kind;
 * any other name is allowed.
 *
 * @param format The format to write; 'report' for anything but a model.
 * @throws {QARepVGGError} ERR_INVALID_ARG
 */
export function checkEnding(path: string | URL, format: FileFormat | 'report'): void {
  const named = formatOf(pathOf(path));
  if (named === undefined || named === format) return;
  const expected = `a name for ${format === 'report' ? 'a report' : formats[format].file}`;
  const { file, writer } = formats[named];
  throw mismatch('ERR_INVALID_ARG', placeOf(path), expected, `one for ${file}, which ${writer} writes`);
}

/**
 * Refuses, with advice, a file that is clearly of another kind than the reader expects, whatever its name.
 *
 * @param start The first 512 bytes, or fewer if the file is shorter.
 * @throws {QARepVGGError} ERR_MODEL_FORMAT
 */
export function checkStart(start: Uint8Array, expected: keyof typeof readers): void {
  const received = recognize(start);
  if (received === expected) return;
  const foreign = received === undefined ? foreignKind(start) : undefined;
  const other = received && `${readers[received].file}; ${readers[received].advice}`;
  const found = foreign ?? other;
  if (found !== undefined) throw mismatch('ERR_MODEL_FORMAT', readers[expected].file, found);
}

/** The format that a file's first bytes show; undefined for any other. */
export function recognize(start: Uint8Array): FileFormat | 'PyTorch' | undefined {
  if (start.length < 8) return undefined;
  const [first, second] = start as unknown as [number, number];
  // Checked first: the length of a header may begin like any other format.
  if (isSafetensors(start)) return 'safetensors';
  // An archive, or a pickle of protocol 2 to 5.
  if ((first === 0x50 && second === 0x4b) || (first === 0x80 && second <= 5)) return 'PyTorch';
  // Field 1, a number below 128: the version of the format.
  return first === 0x08 && second < 128 ? 'ONNX' : undefined;
}

/**
 * Whether the first 8 bytes are the length of a header, little-endian and far below 4 GiB, and the next one, if given, its
 * brace.
 */
export function isSafetensors(start: Uint8Array): boolean {
  const brace = start[8] ?? 0x7b;
  return start.length >= 8 && start.subarray(4, 8).every((byte) => byte === 0) && brace === 0x7b;
}
