import { describe, mismatch } from '../errors';

/** Formats of pixels by sharp's names; netpbm is read here. */
export type ImageFormat = 'jpeg' | 'png' | 'gif' | 'webp' | 'tiff' | 'heif' | 'jp2' | 'jxl' | 'netpbm';

/** The bytes that mark a format, and their offset. Formats that are not listed are not decoded, whatever the name of the file. */
const signatures: readonly (readonly [format: ImageFormat, offset: number, texts: readonly string[]])[] = [
  ['jpeg', 0, ['\xff\xd8']],
  ['png', 0, ['\x89PNG\r\n\x1a\n']],
  ['gif', 0, ['GIF87a', 'GIF89a']],
  ['webp', 8, ['WEBPVP8']],
  ['tiff', 0, ['II*\0', 'MM\0*', 'II+\0', 'MM\0+']],
  ['heif', 4, ['avif', 'avis', 'mif1', 'msf1'].map((brand) => `ftyp${brand}`)],
  ['jp2', 0, ['\0\0\0\x0cjP  \r\n\x87\n', '\xff\x4f\xff\x51']],
  ['jxl', 0, ['\xff\x0a', '\0\0\0\x0cJXL \r\n\x87\n']],
  ['netpbm', 0, ['P5', 'P6'].flatMap((kind) => [' ', '\t', '\n', '\r', '#'].map((next) => kind + next))],
];

/** Files that are refused by name. A drawing of a few bytes can keep a decoder busy for hours. */
const refused: readonly (readonly [what: string, pattern: RegExp])[] = [
  ['an empty file', /^$/],
  ['an SVG drawing', /<svg/i],
  ['an XML or HTML document', /^\s*<[!?a-z]/i],
  ['a PDF or PostScript document', /^%(PDF|!PS)/],
  ['a Git LFS pointer; run git lfs pull', /^version https:\/\/git-lfs/],
  ['a BMP image, which sharp does not read; convert it to PNG', /^BM/],
  ['a HEIC image, which sharp does not read; convert it to JPEG', /^.{4}ftyp(hei[cxms]|hev[cx])/s],
  ['a Netpbm image of another kind; convert it to binary PGM or PPM', /^P([1-47]\s|[Ff]\n)/],
];

/** An SVG drawing may begin with comments. */
const maxBeginning = 1024;

/** The format that the first bytes show. @throws {QARepVGGError} ERR_INVALID_ARG for a format that is not decoded. */
export function detectFormat(file: Uint8Array): ImageFormat {
  const beginning = Buffer.from(file.subarray(0, maxBeginning)).toString('latin1');
  const found = signatures.find(([, offset, texts]) => texts.some((text) => beginning.startsWith(text, offset)));
  if (found) return found[0];
  const what = refused.find(([, pattern]) => pattern.test(beginning))?.[0];
  const received = what ?? `a file that begins with ${describe(beginning.slice(0, 16))}`;
  throw mismatch('ERR_INVALID_ARG', 'an image (JPEG, PNG, WebP, GIF, TIFF, AVIF, PGM or PPM)', received);
}
