import type { Size } from '../image-size';
import type { Preprocessing } from '../preprocessing';
import type { Cancellable } from './abort';
import type { Fetches } from './feeds';
import type { ValueMetadata } from './metadata';
import type { RunCounter } from './stats';

/** What a session knows of its model. */
export interface SessionFacts {
  /** For people: "Network(qarepvgg_a0, 3 -> 1000, S4, deploy form)". */
  readonly summary: string;
  readonly inputs: readonly ValueMetadata[];
  readonly outputs: readonly ValueMetadata[];
  readonly labels: readonly string[] | undefined;
  /** Of a model whose input is images. */
  readonly preprocessing: Preprocessing | undefined;
  /** Where it is known. */
  readonly inputSize: Size | undefined;
  /** Whether each image of a run is computed independently; false where that is not known. */
  readonly independent: boolean;
  /** Whether it computes with bytes of images as they are; otherwise the JavaScript thread makes floats of them. */
  readonly takesBytes: boolean;
}

/** A model in native memory: what a session computes with. */
export interface Engine {
  readonly facts: SessionFacts;
  readonly counter: RunCounter;
  /** Threads that it may use. */
  readonly threads: number;
  /** Checks the feeds and starts a run; what is fed is copied before it returns. Results are those of all outputs. */
  run(feeds: unknown, signal: AbortSignal | undefined, where: string): Cancellable<Fetches>;
  /** As `run`, while the JavaScript thread waits. */
  runSync(feeds: unknown, where: string): Fetches;
  memoryBytes(where: string): number;
  dispose(): void;
}
