import type { Program, ProgramSpec } from '../../binding';
import { addon } from '../binding';

/** A program owns native memory in proportion to its input, so only a few are kept. A server meets few input sizes. */
const capacity = 4;

/** Compiled programs by mode and input dims. The least recently used one is dropped first. */
export class ProgramCache {
  readonly #programs = new Map<string, Program>();

  /** Returns the program of a spec; only `input`, `training` and `gradients` tell specs apart. */
  get(spec: ProgramSpec): Program {
    const { input, training, gradients } = spec;
    const key = `${training} ${gradients} ${input.join(' ')}`;
    const program = this.#programs.get(key) ?? create(spec);
    // A Map iterates in order of insertion: inserting again makes this the most recent.
    this.#programs.delete(key);
    this.#programs.set(key, program);
    if (this.#programs.size > capacity) this.#programs.delete(this.#programs.keys().next().value as string);
    return program;
  }

  clear(): void {
    this.#programs.clear();
  }
}

const create = (spec: ProgramSpec): Program => new addon.Program(spec);
