import { types } from 'node:util';
import { describe, describeList, failure, mismatch, type QARepVGGError, quote, within } from '../../errors';
import { isArray, readForeign } from '../../options';
import { bufferOf, checkTensor, readTensor } from '../../tensor';
import type { Form } from '../blocks/structure';
import { type Definition, isModule } from '../core';
import { findFit } from './fit';
import { type Layout, nameIn, placeholders, recognize } from './layouts';
import { isBeside, isCounter, sharedWrappers } from './prefixes';
import type { Slot } from './state';
import { checkTraits, type Traits } from './traits';

/** What `loadStateDict` found; both lists are empty after a strict load. */
export interface LoadResult {
  /** Keys of the module that the state dict lacks. */
  readonly missing: string[];
  /** Keys of the state dict that the module lacks. */
  readonly unexpected: string[];
  /** The prefix that was removed from all keys, if any. */
  readonly prefix?: string;
}

/** A state dict that has been read but not checked. */
export type UncheckedState = ReadonlyMap<string, { data: unknown; dims: unknown }>;

/**
 * Copies a state dict into a module's store: everything is checked first, so that a refused one changes nothing.
 *
 * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE naming missing keys, unexpected keys and wrong shapes; the errors of
 * {@link checkTensor} for a tensor that is broken in itself.
 */
export function loadInto(
  definition: Definition,
  wrapped: UncheckedState,
  { layout, strict, prefix: wanted, madeWith }: LoadSettings,
): LoadResult {
  const { store, traits } = definition;
  const slots = new Map(store.slots.map((slot) => [nameIn(layout, slot.name), slot]));
  const prefix = wanted ?? wrapperIn(wrapped, [...slots.keys()]);
  const given = takeOff(wrapped, prefix);
  const ignored = new Set(placeholders(layout, store.slots).map(({ name }) => name));
  const isCounted = (name: string): boolean => given.has(name.replace(/[^.]*$/, 'running_mean'));
  const absent = [...slots.keys()].filter((name) => !given.has(name));
  const missing = absent.filter((name) => !isCounter(name) || !isCounted(name));
  const unexpected = [...given.keys()].filter((name) => !slots.has(name) && !ignored.has(name) && !isBeside(name));

  const sources: [Slot, Float32Array][] = [];
  const wrong: string[] = [];
  for (const [name, slot] of slots) {
    const source = given.get(name);
    if (source === undefined) continue;
    const { data, dims } = within(quote(name), () => checkTensor(source.data, source.dims));
    if (sameDims(dims, slot.dims) || (isOne(dims) && isOne(slot.dims))) sources.push([slot, data]);
    else wrong.push(`${quote(name)} (expected ${describeList(slot.dims)}, received ${describeList(dims)})`);
  }
  if (wrong.length > 0 || (strict && missing.length + unexpected.length > 0)) {
    throw incompatible(layout, definition, [...given.keys()], { missing, unexpected, wrong });
  }
  if (strict) checkTraits(traits, madeWith);
  copyInto(store.values, sources);
  for (const name of absent) if (!missing.includes(name)) store.view((slots.get(name) as Slot).name).fill(0);
  return { missing, unexpected, ...(prefix !== '' && { prefix }) };
}

interface LoadSettings {
  readonly layout: Layout;
  readonly strict: boolean;
  readonly prefix: string | undefined;
  readonly madeWith: Traits;
}

/** The wrappers before all keys, if the keys without them include all names of the module. */
function wrapperIn(given: UncheckedState, own: readonly string[]): string {
  const keys = [...given.keys()].filter((name) => !isBeside(name));
  const prefix = sharedWrappers(keys);
  return own.every((name) => isCounter(name) || given.has(prefix + name)) ? prefix : '';
}

function takeOff(given: UncheckedState, prefix: string): UncheckedState {
  if (prefix === '') return given;
  const inside = [...given].filter(([name]) => name.startsWith(prefix));
  return new Map(inside.map(([name, value]) => [name.slice(prefix.length), value]));
}

/** Whether these are dims of one number: a scalar, or a list of one. */
function isOne(dims: readonly number[]): boolean {
  return dims.length === 0 || (dims.length === 1 && dims[0] === 1);
}

function copyInto(values: Float32Array, sources: readonly [Slot, Float32Array][]): void {
  // Tensors that are views of this store would be overwritten before they are read.
  const overlapping = sources.some(([, data]) => bufferOf(data) === values.buffer);
  const safe = overlapping ? sources.map(([slot, data]) => [slot, data.slice()] as const) : sources;
  for (const [slot, data] of safe) values.set(data, slot.offset);
}

/**
 * Refuses objects that would pass as a state dict without tensors.
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG
 */
export function checkStateDict(value: unknown): asserts value is Record<string, unknown> {
  const isOther = typeof value !== 'object' || value === null || isArray(value);
  if (!isOther && !isModule(value) && !types.isPromise(value) && !types.isMap(value)) return;
  const advice = isModule(value) ? 'a module; pass its stateDict()' : describe(value);
  const received = types.isPromise(value) ? 'a Promise; await it' : advice;
  throw mismatch('ERR_INVALID_ARG', 'a state dict, an object of tensors by name', received);
}

/**
 * Reads everything that may run the caller's code, before anything is checked.
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG
 */
export function readStateDict(stateDict: unknown): UncheckedState {
  checkStateDict(stateDict);
  const entries = readForeign(() => Object.entries(stateDict).filter(([name]) => !isBeside(name)));
  return new Map(entries.map(([name, value]) => [name, within(quote(name), () => readTensor(value))]));
}

function sameDims(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

interface Complaints {
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  readonly wrong: readonly string[];
}

/** Most names in one list of a message. */
const maxListed = 16;

function list(names: readonly string[]): string {
  const more = names.length > maxListed ? ` and ${names.length - maxListed} more` : '';
  return names.slice(0, maxListed).join(', ') + more;
}

function incompatible(
  layout: Layout,
  definition: Definition,
  given: readonly string[],
  { missing, unexpected, wrong }: Complaints,
): QARepVGGError {
  const own = definition.store.slots.map(({ name }) => nameIn(layout, name));
  const expected = recognize(own);
  const received = recognize(given);
  const lines = [
    `expected the ${own.length} tensors of ${expected}, ` +
      `received ${given.length}${received && received !== expected ? ` that look like ${received}` : ''}`,
  ];
  if (missing.length > 0) lines.push(`  missing: ${list(missing.map(quote))}`);
  if (unexpected.length > 0) lines.push(`  unexpected: ${list(unexpected.map(quote))}`);
  if (wrong.length > 0) lines.push(`  wrong dims: ${list(wrong)}`);
  const isOfOtherSize = missing.length === 0 && unexpected.length === 0;
  const advice = isOfOtherSize ? sizeAdvice : advise(definition, given, layout);
  if (advice) lines.push(`  ${advice}`);
  return failure('ERR_MODEL_INCOMPATIBLE', lines.join('\n'));
}

const sizeAdvice =
  'the names fit: make the module with the sizes of these tensors; a network has the options numClasses, inChannels and channels ' +
  '(--num-classes, --in-channels, --channels)';

/** Says what would make the keys fit: another form of the module, a layout, a prefix to remove, another kind of module. */
function advise(definition: Definition, given: readonly string[], layout: Layout): string | undefined {
  const { form, namings } = definition;
  const all = namings();
  const own = all.filter((naming) => naming.form === form);
  const fit = findFit(all, given, layout) ?? findFit(own, given, layout, { prefixed: true });
  const option = fit === undefined || fit.layout === layout ? '' : ` with { layout: '${fit.layout}' }`;
  if (!fit || (fit.form === form && !option && !fit.prefix)) return adviseKind(definition, given, layout);
  if (fit.form !== form) return `to load these weights${option}, ${changeOfForm(form, fit.form)}`;
  return `the received keys fit${option}${fit.prefix && ` when the prefix ${quote(fit.prefix)} is removed (prefix, --prefix)`}`;
}

function adviseKind({ otherKind }: Definition, given: readonly string[], layout: Layout): string | undefined {
  const other = otherKind?.(given, layout);
  if (!other) return undefined;
  const option = other.layout === layout ? '' : ` and { layout: '${other.layout}' }`;
  return `the received keys are those of another kind of blocks: make the module with ${other.call}${option}`;
}

/** Says how a module gets from form `from` to form `to`. */
function changeOfForm(from: Form | undefined, to: Form | undefined): string {
  if (to === 'train') return 'make a new module and switch it after loading';
  const call = `eval().switchToDeploy(${to === 'partial' ? '{ keepPostBn: true }' : ''}) on`;
  return from === 'deploy' ? `make a new module and call ${call} it first` : `first call ${call} the module`;
}
