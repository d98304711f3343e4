import { mismatch } from '../../errors';
import type { Form } from '../blocks/structure';

const names = ['stride', 'dilation', 'padding', 'activation', 'strides', 'eps', 'identity', 'averageBranch'] as const;

/**
 * Options, as text (see {@link asText}), that change what a module computes but not the names and dims of its tensors. Weights
 * that were made with others would load without an error and compute something else.
 *
 * The best-known case: the blocks QARepVGGBlock and QARepVGGBlockV2 of YOLOv6 differ by an average pool, which has no
 * tensors.
 */
export type Traits = Readonly<Partial<Record<(typeof names)[number], string>>>;

/** The text of an option in the metadata of a file: a string as it is, anything else as JSON. */
export function asText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Picks the options that are traits. */
export function traitsFrom(options: Readonly<Record<string, unknown>>): Traits {
  const given = names.filter((name) => options[name] !== undefined);
  return Object.fromEntries(given.map((name) => [name, asText(options[name])]));
}

/** Picks the traits that still matter in a form: folding removes batch norms and branches. */
export function formTraits(
  form: Form,
  { eps, identity, averageBranch }: { eps: number; identity: boolean; averageBranch: boolean },
) {
  if (form === 'deploy') return {};
  return form === 'train' ? { eps, identity, averageBranch } : { eps };
}

/** The traits of state dicts that came from modules, or from files that hold traits. */
const known = new WeakMap<object, Traits>();

/** Remembers the traits of the module that a state dict came from. A copy of the object does not have them. */
export function noteTraits(stateDict: object, traits: Traits): void {
  known.set(stateDict, traits);
}

/** The traits of the module that a state dict came from, as far as they are known. */
export function traitsOf(stateDict: object): Traits {
  return known.get(stateDict) ?? {};
}

/** @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE when the weights' traits differ from the module's. */
export function checkTraits(own: Traits, given: Traits): void {
  for (const name of names) {
    const [value, other] = [own[name], given[name]];
    if (value === undefined || other === undefined || other === value) continue;
    const advice = `make the module with ${name} ${other}, or pass a copy ({ ...stateDict }) to use the weights all the same`;
    throw mismatch('ERR_MODEL_INCOMPATIBLE', `weights made with ${name} ${value}`, `${other}; ${advice}`);
  }
}
