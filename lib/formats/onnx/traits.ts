import { type QARepVGGError, recoded, within } from '../../errors';
import type { ModelTraits } from '../../model/model';
import { readPreprocessing } from '../../preprocessing';

/**
 * A model's labels and preprocessing as metadata of an ONNX file. The names of classes are a Python dictionary under the key that
 * exporters of detectors use.
 */
const labelsKey = 'names';

/** Longer than "qarepvgg.", the prefix of all keys of this package's networks. */
const preprocessingKey = 'qarepvgg.model.preprocessing';

/** Whether a key is one that a model of any origin may have. */
export function isTrait(key: string): boolean {
  return key === labelsKey || key === preprocessingKey;
}

export function describeTraits({ labels, preprocessing }: ModelTraits): Record<string, string> {
  return {
    ...(labels && { [labelsKey]: `{${labels.map((label, i) => `${i}: ${JSON.stringify(label)}`).join(', ')}}` }),
    ...(preprocessing && { [preprocessingKey]: JSON.stringify(preprocessing) }),
  };
}

/** @throws {QARepVGGError} ERR_MODEL_FORMAT for an invalid preprocessing. Names that cannot be read are ignored. */
export function readTraits(metadata: ReadonlyMap<string, string>): ModelTraits {
  const names = metadata.get(labelsKey);
  const labels = names === undefined ? undefined : readNames(names);
  const text = metadata.get(preprocessingKey);
  const preprocessing = text === undefined ? undefined : readScaling(text);
  return { ...(labels && { labels }), ...(preprocessing && { preprocessing }) };
}

function readScaling(text: string) {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const { mean } = (value ?? {}) as { mean?: unknown };
  try {
    return within(`metadata ${preprocessingKey}`, () =>
      readPreprocessing(value, Array.isArray(mean) ? mean.length : 1),
    );
  } catch (error) {
    throw recoded('ERR_MODEL_FORMAT', error as QARepVGGError);
  }
}

/** An entry of a dictionary: a number, and a text in either kind of quotes. */
const entry = /\s*(\d{1,7})\s*:\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\s*(,|$)/y;

/** Reads "{0: 'person', 1: 'bicycle'}": every number from 0 once, in any order. */
function readNames(text: string): readonly string[] | undefined {
  const inside = /^\s*\{(.*)\}\s*$/s.exec(text)?.[1];
  if (inside === undefined) return undefined;
  const names = new Map<number, string>();
  entry.lastIndex = 0;
  while (entry.lastIndex < inside.length) {
    const [, number, single, double] = entry.exec(inside) ?? [];
    if (number === undefined) return undefined;
    names.set(Number(number), unescaped(single ?? double ?? ''));
  }
  const count = names.size;
  const labels = Array.from({ length: count }, (_, i) => names.get(i));
  return count > 0 && labels.every((label) => label !== undefined) ? (labels as string[]) : undefined;
}

const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f' };

/** Resolves the escapes of a string of Python or JSON. */
function unescaped(text: string): string {
  return text.replace(/\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))/gs, (_, wide, narrow, other) => {
    const code = wide ?? narrow;
    return code === undefined
      ? (escapes[other as string] ?? (other as string))
      : String.fromCharCode(Number.parseInt(code, 16));
  });
}
