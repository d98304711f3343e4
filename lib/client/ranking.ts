import { describe } from '../errors';
import { unexpected } from './answer';
import type { Inference, RankedClass } from './types';

/** Of the classification extension: strings `value:index` or `value:index:label`. */
export function readRankedStrings({ outputs }: Inference): RankedClass[] {
  const [output] = Object.values(outputs);
  if (output?.type !== 'BYTES') throw unexpected('classes as BYTES', describe(output?.type));
  return (output.data as Uint8Array[]).map((bytes) => {
    const string = Buffer.from(bytes).toString();
    const [, value, index, label] = /^([^:]*):(\d+)(?::(.*))?$/s.exec(string) ?? [];
    if (index === undefined) throw unexpected('value:index:label', describe(string));
    return { index: Number(index), ...(label !== undefined && { label }), value: Number(value) };
  });
}

/** Of the `classify` route of `qarepvgg serve`. */
export function readRanking({ classes }: Readonly<Record<string, unknown>>): RankedClass[] {
  if (!Array.isArray(classes)) throw unexpected('a list of classes', describe(classes));
  return classes.map(({ logit: value, ...rest }) => ({ ...rest, value }));
}
