import type { Form } from '../blocks/structure';
import { type Layout, nameIn } from './layouts';
import { isAveraged, isCounter } from './prefixes';

/** The tensors of a module in one of its forms. */
export interface Naming {
  /** Nothing for a module that has no forms. */
  readonly form?: Form;
  /** Names in the 'official' layout. */
  readonly names: readonly string[];
  /** The layouts that have names for them. */
  readonly layouts: readonly Layout[];
}

/** How a set of keys fits a module. */
export interface Fit {
  readonly form: Form | undefined;
  readonly layout: Layout;
  /** Prefix of every name. Where several sets of weights fit, the prefix of the averaged ones. */
  readonly prefix: string;
  /** Prefixes of all sets that fit. */
  readonly prefixes: readonly string[];
}

/** A module with another kind of blocks that the keys fit. */
export interface OtherKind extends Fit {
  /** Code that makes the module. */
  readonly call: string;
}

/**
 * Returns the first of `namings` whose names are all among the keys, and its layout: `wanted` where names do not decide.
 *
 * @param namings Those with more names first: in the layout of super-gradients, a block in train form also has the names of its
 * partial form.
 */
export function findFit(
  namings: readonly Naming[],
  keys: readonly string[],
  wanted: Layout,
  { prefixed = false } = {},
): Fit | undefined {
  const given = new Set(keys);
  for (const { form, names, layouts } of namings) {
    const order = [...layouts].sort((a, b) => Number(b === wanted) - Number(a === wanted));
    for (const layout of order) {
      const own = names.filter((name) => !isCounter(name)).map((name) => nameIn(layout, name));
      const prefixes = prefixed ? prefixesOf(own[0] as string, keys) : [''];
      const fitting = prefixes.filter((candidate) => own.every((name) => given.has(candidate + name)));
      fitting.sort((a, b) => Number(isAveraged(b)) - Number(isAveraged(a)));
      const [prefix] = fitting;
      if (prefix !== undefined) return { form, layout, prefix, prefixes: fitting };
    }
  }
  return undefined;
}

/** The prefixes that `name` has in the keys that end in it. */
function prefixesOf(name: string, keys: readonly string[]): string[] {
  return keys.filter((key) => key === name || key.endsWith(`.${name}`)).map((key) => key.slice(0, -name.length));
}
