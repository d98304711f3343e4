import type { Program, ProgramSpec } from '../../binding';
import { addon } from '../binding';
import type { Definition } from './core';
import { nativeGraph } from './native-graph';

/** A program owns native memory in proportion to its input, so only a few are kept. A server meets few input sizes. */
const capacity = 4;

/** Compiled programs of a module by mode and input dims. The least recently used one is dropped first. */
export class ProgramCache {
  readonly #programs = new Map<string, Program>();

  get(definition: Definition, mode: Pick<ProgramSpec, 'input' | 'training' | 'gradients'>): Program {
    const { input, training, gradients } = mode;
    const key = `${training} ${gradients} ${input.join(' ')}`;
    const program = this.#programs.get(key) ?? new addon.Program({ ...mode, ...nativeGraph(definition) });
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
