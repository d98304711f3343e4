import { mismatch, quote } from '../../errors';
import { atOnce, type Steps } from '../../slices';
import { crc32Of } from '../checksum';
import type { Metadata } from '../model-metadata';
import type { ModelDraft } from './schema';

/**
 * When the ONNX file of a network is read, its graph is compared as a whole. The rest has a checksum: the CRC-32 of the file's own
 * description, of the other metadata of this package, and of the bytes of all tensors. A second key says that the first must be
 * there. Files without both are not checked.
 */
const [sumKey, promiseKey] = ['checksum', 'checksumKind'] as const;
const kind = 'crc32';
const pattern = /^crc32:[0-9a-f]{8}$/;

/** The metadata of a file to be written, with its checksum. */
export function withSum(metadata: Metadata, file: ModelDraft): Metadata {
  // First, so that even a truncated file shows that it should have a checksum.
  const promised = { [promiseKey]: kind, ...metadata };
  return { ...promised, [sumKey]: atOnce(sumOf(promised, file)) };
}

/**
 * The metadata without the checksum.
 *
 * @throws {QARepVGGError} ERR_MODEL_FORMAT when it does not fit them or the tensors.
 */
export function* checkSum(metadata: Metadata, file: ModelDraft): Steps<Metadata> {
  const { [sumKey]: given, ...promised } = metadata;
  const { [promiseKey]: promise, ...others } = promised;
  const odd = Object.entries(others).find(([, value]) => pattern.test(value) || value === kind);
  if (odd) throw mismatch('ERR_MODEL_FORMAT', `metadata ${sumKey} and ${promiseKey}`, quote(odd[0]));
  if (given === undefined && promise === undefined) return others;
  const sum = yield* sumOf(promised, file);
  if (sum === given) return others;
  const received = `${quote(sum)}; the file is damaged, or another program has changed it`;
  throw mismatch('ERR_MODEL_FORMAT', `a file of checksum ${quote(given ?? 'none')}`, received);
}

function* sumOf(metadata: Metadata, file: ModelDraft): Steps<string> {
  const { irVersion, producerName, producerVersion, opsets = [], graph } = file;
  const versions = opsets.map(({ domain, version }) => [domain, version]);
  const entries = Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1));
  let crc = yield* crc32Of(Buffer.from(JSON.stringify([irVersion, producerName, producerVersion, versions, entries])));
  for (const { rawData } of graph?.initializers ?? []) crc = yield* crc32Of(rawData ?? new Uint8Array(), crc);
  return `${kind}:${crc.toString(16).padStart(8, '0')}`;
}
