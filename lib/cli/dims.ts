import { didYouMean } from '../did-you-mean';
import { quote, within } from '../errors';
import type { InputShapes } from '../index';
import { misuse } from './usage';

/** "1x3x640x640", or "images=1x3x640x640" for one of several inputs; may be given more than once. */
export function dimsFlag(text: string, before: readonly string[] = []): string[] {
  return [...before, text];
}

/** Dims by the name of an input. @throws {QARepVGGError} ERR_INVALID_ARG */
export function readDims(flags: readonly string[] | undefined, names: readonly string[]): InputShapes {
  const entries = (flags ?? []).map((text) => {
    const { name, rest } = within('--dims', () => splitName(text, names));
    const dims = rest.split('x').map(Number);
    if (rest !== '' && dims.every((dim) => Number.isSafeInteger(dim) && dim > 0)) return [name, dims] as const;
    throw misuse('--dims', 'lengths such as 1x3x640x640', rest);
  });
  return Object.fromEntries(entries);
}

/** "name=rest", or only the rest where there is one input. Names may have any characters. */
export function splitName(text: string, names: readonly string[]): { name: string; rest: string } {
  const name = names.find((one) => text.startsWith(`${one}=`));
  if (name !== undefined) return { name, rest: text.slice(name.length + 1) };
  const [only] = names;
  if (only !== undefined && names.length === 1) return { name: only, rest: text };
  throw misuse(
    `one of ${names.map((one) => `${one}=...`).join(', ')}`,
    quote(text) + didYouMean(text.split('=')[0], names),
  );
}
