import { mismatch } from '../../errors';
import type { Form } from '../blocks/structure';

const names = ['stride', 'dilation', 'padding', 'activation', 'strides', 'eps', 'identity', 'averageBranch'] as const;

/**
 * Options that change what a module computes and leave no trace in the names and dims of its tensors: weights that were
 * made with other ones load well and compute something else. As text, see {@link asText}.
 *
 * The best-known case: the blocks QARepVGGBlock and QARepVGGBlockV2 of YOLOv6 differ by an average pool, which has no
 * tensors.
 */
export type Traits = Readonly<Partial<Record<(typeof names)[number], string>>>;

/** The text of an option in the metadata of a file: a text as it is, anything else in JSON. */
export function asText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** The options among these that are traits. */
export function traitsFrom(options: Readonly<Record<string, unknown>>): Traits {
  const given = names.filter((name) => options[name] !== undefined);
  return Object.fromEntries(given.map((name) => [name, asText(options[name])]));
}

/** What of these still matters in a form: batch norms and branches go as they are folded. */
export function formTraits(
  form: Form,
  { eps, identity, averageBranch }: { eps: number; identity: boolean; averageBranch: boolean },
) {
  if (form === 'deploy') return {};
  return form === 'train' ? { eps, identity, averageBranch } : { eps };
}

/** What state dicts that modules have made, or that came from files with such notes, were made with. */
const known = new WeakMap<object, Traits>();

/** Notes what a state dict was made with. A copy of the object does not carry the note. */
export function noteTraits(stateDict: object, traits: Traits): void {
  known.set(stateDict, traits);
}

/** What a state dict was made with, as far as that is known. */
export function traitsOf(stateDict: object): Traits {
  return known.get(stateDict) ?? {};
}

/** @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE when weights were made with other options than `own`. */
export function checkTraits(own: Traits, given: Traits, where: string): void {
  for (const name of names) {
    const [value, other] = [own[name], given[name]];
    if (value === undefined || other === undefined || other === value) continue;
    const advice = `make the module with ${name} ${other}, or pass a copy ({ ...stateDict }) to use the weights all the same`;
    throw mismatch('ERR_MODEL_INCOMPATIBLE', where, `weights made with ${name} ${value}`, `${other}; ${advice}`);
  }
}
