import { mismatch } from '../errors';

/**
 * Options that change what a module computes and leave no trace in the names and dims of its tensors: weights that were
 * made with other ones load well and compute something else. By the name of the option, as text.
 *
 * The best-known case: the blocks QARepVGGBlock and QARepVGGBlockV2 of YOLOv6 differ by an average pool, which has no
 * tensors.
 */
export type Traits = Readonly<Record<string, string>>;

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
  for (const [name, value] of Object.entries(own)) {
    const other = given[name];
    if (other === undefined || other === value) continue;
    const advice = `make the module with ${name} ${other}, or pass a copy ({ ...stateDict }) to use the weights all the same`;
    throw mismatch('ERR_MODEL_INCOMPATIBLE', where, `weights made with ${name} ${value}`, `${other}; ${advice}`);
  }
}
