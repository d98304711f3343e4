import { quote } from '../errors';
import type { FoundStateDict } from '../formats/torch';

/** Which tensors of a file were taken, where there was a choice. */
export interface TensorChoice {
  /** Name of the state dict in the checkpoint; "" for the whole file. */
  readonly key: string;
  /** The state dicts that were there. */
  readonly candidates: readonly string[];
  /** The prefix that was removed from all names. */
  readonly prefix: string;
  /** The sets of weights that were there under prefixes. */
  readonly prefixes: readonly string[];
  /** Tensors that were not read, because this package has no such type of numbers. */
  readonly unread: readonly string[];
}

/** @param prefix The prefix that was removed after the wrappers of the state dict. */
export function describeChoice(found: FoundStateDict, prefix: string, prefixes: readonly string[]): TensorChoice {
  const { key, candidates, unread } = found;
  return { key, candidates, prefix: found.prefix + prefix, prefixes, unread };
}

const maxListed = 16;

function list(names: readonly string[]): string {
  const more = names.length > maxListed ? ` and ${names.length - maxListed} more` : '';
  return names.slice(0, maxListed).map(quote).join(', ') + more;
}

/** The same as lines of text; empty where there was no choice. */
export function choiceText(choice: TensorChoice | undefined): string {
  if (!choice) return '';
  const { key, candidates, prefix, prefixes, unread } = choice;
  const lines: string[] = [];
  if (key !== '') {
    const others = candidates.length > 1 ? `, out of ${list(candidates)}; --key takes another` : '';
    lines.push(`state dict: ${quote(key)}${others}`);
  }
  if (prefix !== '') {
    const others = prefixes.length > 1 ? `, out of ${list(prefixes)}; --prefix takes another` : '';
    lines.push(`prefix: ${quote(prefix)} removed${others}`);
  }
  if (unread.length > 0) lines.push(`not read, of a type that this package does not have: ${list(unread)}`);
  return lines.map((line) => `${line}\n`).join('');
}
