/** What a file turns out to be that is no model, or one of another kind, with what to do about it. */
interface Kind {
  readonly file: string;
  readonly matches: (start: Buffer) => boolean;
}

const startsWith =
  (text: string, at = 0) =>
  (start: Buffer): boolean =>
    start.subarray(at, at + text.length).toString('latin1') === text;

/** Of a text, past white space and a byte order mark. */
const textMatches =
  (pattern: RegExp) =>
  (start: Buffer): boolean =>
    isText(start) && pattern.test(start.toString('utf8'));

const notRead = 'which this package does not read';

/** Text comes last, and of texts those first that are the most particular. */
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
    file: `an HDF5 file, of Keras perhaps, ${notRead}`,
    matches: startsWith('\x89HDF\r\n\x1a\n'),
  },
  { file: `a TensorFlow Lite model, ${notRead}`, matches: startsWith('TFL3', 4) },
  { file: `a GGUF file, ${notRead}`, matches: startsWith('GGUF') },
  { file: `an array of NumPy, ${notRead}`, matches: startsWith('\x93NUMPY') },
  { file: 'an image', matches: (start) => startsWith('\x89PNG')(start) || startsWith('\xff\xd8\xff')(start) },
  { file: 'a PDF document', matches: startsWith('%PDF-') },
  {
    file: 'an HTML page: the download answered with a page instead of the file, a login or an error perhaps',
    matches: textMatches(/^\uFEFF?\s*<(?:!doctype\s+html|html|head|body)\b/i),
  },
  { file: 'an XML file', matches: textMatches(/^\uFEFF?\s*<\?xml\b/) },
  {
    file: 'JSON: a description, or an answer of a server, without the numbers',
    matches: textMatches(/^\uFEFF?\s*[{[]/),
  },
  { file: 'a text', matches: textMatches(/\S/) },
];

/** How many bytes {@link foreignKind} looks at. */
export const startBytes = 512;

/** What a file is, in words that follow "received", by its first {@link startBytes}; nothing for what is not known. */
export function foreignKind(start: Uint8Array): string | undefined {
  const bytes = Buffer.from(start.buffer, start.byteOffset, Math.min(start.length, startBytes));
  return kinds.find(({ matches }) => matches(bytes))?.file;
}

/** What a ZIP archive is that holds no `data.pkl`, by the names of its entries. */
export function archiveKind(names: readonly string[]): string {
  if (names.some((name) => name.endsWith('.npy'))) return `arrays of NumPy (.npz), ${notRead}`;
  if (names.includes('model.weights.h5')) return `a model of Keras, ${notRead}`;
  if (names.some((name) => name.endsWith('data.pkl'))) return 'one that torch.save did not write in this way';
  return 'a ZIP archive of other files: unpack it first';
}

/** UTF-8 without control characters, but for a character that is cut off at the end. */
function isText(bytes: Buffer): boolean {
  const text = bytes.toString('utf8').replace(/\uFFFD{1,3}$/, '');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text !== '' && !/[\0-\x08\x0e-\x1f\uFFFD]/.test(text);
}
