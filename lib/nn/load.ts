import { describe, describeList, mismatch, QARepVGGError } from '../errors';
import { readForeign } from '../options';
import { checkTensor, readTensor, type Tensor } from '../tensor';
import { recognise } from './layouts';
import type { Slot, Store } from './state';

/** What `loadStateDict` found; both lists are empty after a strict load. */
export interface LoadResult {
  /** Keys of the module that the state dict lacks. */
  readonly missing: string[];
  /** Keys of the state dict that the module lacks. */
  readonly unexpected: string[];
}

/** A state dict that has been read but not checked. */
export type UncheckedState = ReadonlyMap<string, { data: unknown; dims: unknown }>;

/**
 * Copies a state dict into a store: everything is checked first, so that a refused one changes nothing.
 *
 * @param nameOf The key of a slot in the state dict's layout.
 * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE naming every missing key, unexpected key and wrong shape;
 * the errors of {@link checkTensor} for a tensor that is broken in itself.
 */
export function loadInto(
  store: Store,
  given: UncheckedState,
  nameOf: (slot: Slot) => string,
  strict: boolean,
  where: string,
): LoadResult {
  const slots = new Map(store.slots.map((slot) => [nameOf(slot), slot]));
  const missing = [...slots.keys()].filter((name) => !given.has(name));
  const unexpected = [...given.keys()].filter((name) => !slots.has(name));

  const next = store.values.slice();
  const wrong: string[] = [];
  for (const [name, slot] of slots) {
    const source = given.get(name);
    if (source === undefined) continue;
    const { data, dims } = checkTensor(source.data, source.dims, `${where}, ${quote(name)}`);
    if (sameDims(dims, slot.dims)) next.set(data, slot.offset);
    else wrong.push(`${quote(name)} (expected ${describeList(slot.dims)}, received ${describeList(dims)})`);
  }
  if (wrong.length > 0 || (strict && missing.length + unexpected.length > 0)) {
    throw incompatible(where, [...slots.keys()], [...given.keys()], { missing, unexpected, wrong });
  }
  store.values.set(next);
  return { missing, unexpected };
}

/**
 * Reads everything that may run the caller's code, before anything is checked.
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG
 */
export function readStateDict(stateDict: unknown, where: string): UncheckedState {
  if (typeof stateDict !== 'object' || stateDict === null || Array.isArray(stateDict)) {
    throw mismatch('ERR_INVALID_ARG', where, 'a state dict, an object of tensors by name', describe(stateDict));
  }
  const entries = readForeign(where, () => Object.entries(stateDict as Record<string, Tensor>));
  return new Map(entries.map(([name, value]) => [name, readTensor(value, `${where}, ${quote(name)}`)]));
}

function sameDims(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

function quote(name: string): string {
  return JSON.stringify(name.slice(0, 200));
}

interface Complaints {
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  readonly wrong: readonly string[];
}

function incompatible(
  where: string,
  own: readonly string[],
  given: readonly string[],
  { missing, unexpected, wrong }: Complaints,
): QARepVGGError {
  const expected = recognise(own);
  const received = recognise(given);
  const lines = [
    `${where}: expected the ${own.length} tensors of ${expected}, ` +
      `received ${given.length}${received && received !== expected ? ` that look like ${received}` : ''}`,
  ];
  if (missing.length > 0) lines.push(`  missing: ${missing.map(quote).join(', ')}`);
  if (unexpected.length > 0) lines.push(`  unexpected: ${unexpected.map(quote).join(', ')}`);
  if (wrong.length > 0) lines.push(`  wrong dims: ${wrong.join(', ')}`);
  const prefix = commonPrefix(own, given);
  if (prefix) lines.push(`  the received keys fit when the prefix ${quote(prefix)} is taken off`);
  return new QARepVGGError('ERR_MODEL_INCOMPATIBLE', lines.join('\n'));
}

/** "module." and the like: what stands in front of every given key, if the rest are this module's keys. */
function commonPrefix(own: readonly string[], given: readonly string[]): string | undefined {
  const first = own[0] as string;
  const prefix = given.find((key) => key.endsWith(`.${first}`))?.slice(0, -first.length);
  return prefix && own.every((name) => given.includes(prefix + name)) ? prefix : undefined;
}
