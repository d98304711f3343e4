import { mismatch, quote } from '../../errors';
import type { Steps } from '../../slices';
import { crc32Of } from '../checksum';

/**
 * Files of this package have a checksum in their metadata: the CRC-32 of the whole file, with zeros in place of the digits of the
 * checksum itself. It detects any flipped bit, also in the header. Files without a checksum are not checked.
 */
const key = 'checksum';

const pattern = /^crc32:[0-9a-f]{8}$/;
const zeros = '00000000';

/** Metadata for {@link stampSum} to fill in. */
export const noSum: Readonly<Record<string, string>> = { [key]: `crc32:${zeros}` };

/** The text before the digits. */
const mark = `"${key}":"crc32:`;

/** Fills in the checksum of a file with {@link noSum} in its metadata. */
export function* stampSum(file: Uint8Array): Steps<void> {
  const digits = hex(yield* crc32Of(file));
  Buffer.from(file.buffer, file.byteOffset, file.byteLength).write(digits, placeOfDigits(file), 'latin1');
}

/**
 * The metadata without the checksum.
 *
 * @param parts The file: its first bytes, its header, its data.
 * @throws {QARepVGGError} ERR_MODEL_FORMAT when it does not fit the file.
 */
export function* checkSum(
  [prefix, header, data]: readonly [Uint8Array, Uint8Array, Uint8Array],
  metadata: Readonly<Record<string, string>>,
): Steps<Record<string, string>> {
  const { [key]: given, ...others } = metadata;
  // If only the key is damaged, the file must not pass as one without a checksum.
  const odd = Object.keys(others).find((name) => pattern.test(others[name] as string));
  if (odd !== undefined) throw mismatch('ERR_MODEL_FORMAT', `a checksum named ${quote(key)}`, quote(odd));
  const result = Object.assign(Object.create(null) as Record<string, string>, others);
  if (given === undefined) return result;
  if (!pattern.test(given)) throw mismatch('ERR_MODEL_FORMAT', 'a checksum, as crc32:89abcdef', quote(given));
  const text = Uint8Array.from(header);
  const at = placeOfDigits(text);
  if (at !== -1) text.fill(zeros.charCodeAt(0), at, at + zeros.length);
  const crc = yield* crc32Of(data, yield* crc32Of(text, yield* crc32Of(prefix)));
  const sum = `crc32:${hex(crc)}`;
  if (sum === given) return result;
  const received = `${quote(sum)}; the file is damaged, or a program that does not know the checksum has changed it`;
  throw mismatch('ERR_MODEL_FORMAT', `a file of checksum ${quote(given)}`, received);
}

function hex(crc: number): string {
  return crc.toString(16).padStart(zeros.length, '0');
}

/** Offset of the digits in a file or its header; -1 if another program has written the file. */
function placeOfDigits(bytes: Uint8Array): number {
  const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf(mark);
  return at === -1 ? -1 : at + mark.length;
}
