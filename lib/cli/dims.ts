import { didYouMean } from '../did-you-mean';
import { quote, within } from '../errors';
import type { Value } from '../graph/graph';
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

/** Refuses an input whose dims, but for the number of images, are open and not given. @throws {QARepVGGError} ERR_INVALID_ARG */
export function requireDims(inputs: readonly Value[], given: InputShapes): void {
  for (const { name, dims } of inputs) {
    const isOpen = given[name] === undefined && dims.slice(1).some((dim) => typeof dim === 'string');
    if (isOpen) throw misuse('--dims', `those of input ${quote(name)}, [${dims.join(', ')}]`, 'none');
  }
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
