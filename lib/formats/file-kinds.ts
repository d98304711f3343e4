/** A kind of file that this package does not read as a model, with advice. */
interface Kind {
  readonly file: string;
  readonly matches: (start: Buffer) => boolean;
}

const startsWith =
  (text: string, at = 0) =>
  (start: Buffer): boolean =>
    start.subarray(at, at + text.length).toString('latin1') === text;

/** Matches text, after white space and a byte order mark. */
const textMatches =
  (pattern: RegExp) =>
  (start: Buffer): boolean =>
    isText(start) && pattern.test(start.toString('utf8'));

const notRead = 'which this package does not read';

/** Text comes last; among texts, the most specific comes first. */
const kinds: readonly Kind[] = [
  {
    file: 'a Git LFS pointer, which only stands for a file: run git lfs pull',
    matches: startsWith('version https://git-lfs.github.com/spec/'),
  },
  { file: 'a file compressed with gzip: decompress it first', matches: startsWith('\x1f\x8b') },
  { file: 'a file compressed with bzip2: decompress it first', matches: startsWith('BZh') },
  { file: 'a file compressed with xz: decompress it first', matches: startsWith('\xfd7zXZ\0') },
  { file: 'a file compressed with zstd: decompress it first', matches: startsWith('\x28\xb5\x2f\xfd') },
  { file: 'a 7-Zip archive: unpack it first', matches: startsWith('7z\xbc\xaf\x27\x1c') },
  { file: 'a tar archive: unpack it first', matches: startsWith('ustar', 257) },
  {
    file: `an HDF5 file, perhaps from Keras, ${notRead}`,
    matches: startsWith('\x89HDF\r\n\x1a\n'),
  },
  { file: `a TensorFlow Lite model, ${notRead}`, matches: startsWith('TFL3', 4) },
  { file: `a GGUF file, ${notRead}`, matches: startsWith('GGUF') },
  { file: `a NumPy array, ${notRead}`, matches: startsWith('\x93NUMPY') },
  { file: 'an image', matches: (start) => startsWith('\x89PNG')(start) || startsWith('\xff\xd8\xff')(start) },
  { file: 'a PDF document', matches: startsWith('%PDF-') },
  {
    file: 'an HTML page: the download returned a page, perhaps a login or an error, instead of the file',
    matches: textMatches(/^\uFEFF?\s*<(?:!doctype\s+html|html|head|body)\b/i),
  },
  { file: 'an XML file', matches: textMatches(/^\uFEFF?\s*<\?xml\b/) },
  {
    file: 'JSON: perhaps a description, or the answer of a server, without the weights',
    matches: textMatches(/^\uFEFF?\s*[{[]/),
  },
  { file: 'a text file', matches: textMatches(/\S/) },
];

/** How many bytes {@link foreignKind} inspects. */
export const startBytes = 512;

/** What a file is by its first {@link startBytes} bytes, as text to follow "received"; undefined for an unknown kind. */
export function foreignKind(start: Uint8Array): string | undefined {
  const bytes = Buffer.from(start.buffer, start.byteOffset, Math.min(start.length, startBytes));
  return kinds.find(({ matches }) => matches(bytes))?.file;
}

/** What a ZIP archive without `data.pkl` is, by the names of its entries. */
export function archiveKind(names: readonly string[]): string {
  if (names.some((name) => name.endsWith('.npy'))) return `NumPy arrays (.npz), ${notRead}`;
  if (names.includes('model.weights.h5')) return `a Keras model, ${notRead}`;
  if (names.some((name) => name.endsWith('data.pkl'))) return 'an archive that torch.save did not write in this form';
  return 'a ZIP archive of other files: unpack it first';
}

/** Whether this is UTF-8 without control characters; the last character may be cut off. */
function isText(bytes: Buffer): boolean {
  const text = bytes.toString('utf8').replace(/\uFFFD{1,3}$/, '');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the search is for them
  return text !== '' && !/[\0-\x08\x0e-\x1f\uFFFD]/.test(text);
}
