import type { Size } from '../image-size';
import type { Preprocessing } from '../preprocessing';
import type { Cancellable } from './abort';
import type { Fetches } from './feeds';
import type { ValueMetadata } from './metadata';
import type { RunCounter } from './stats';

/** What a session knows about its model. */
export interface SessionFacts {
  /** What people read: "Network(qarepvgg_a0, 3 -> 1000, S4, deploy form)". */
  readonly summary: string;
  readonly inputs: readonly ValueMetadata[];
  readonly outputs: readonly ValueMetadata[];
  readonly labels: readonly string[] | undefined;
  /** Undefined for a model whose input is not images. */
  readonly preprocessing: Preprocessing | undefined;
  /** Undefined where it is not known. */
  readonly inputSize: Size | undefined;
  /** Whether each image of a run is computed independently of the others; false where that is not known. */
  readonly independent: boolean;
  /** Whether neither the model nor its user says the preprocessing. */
  readonly assumesPreprocessing: boolean;
  /** Whether the engine takes the bytes of images; otherwise the JavaScript thread converts them to floats. */
  readonly takesBytes: boolean;
}

/** A model in native memory: what a session computes with. */
export interface Engine {
  readonly facts: SessionFacts;
  readonly counter: RunCounter;
  /** How many threads it may use. */
  readonly threads: number;
  /** Checks and copies the feeds, and starts a run that computes all outputs. */
  run(feeds: unknown, signal: AbortSignal | undefined): Cancellable<Fetches>;
  /** Same as `run`, but the JavaScript thread waits. */
  runSync(feeds: unknown): Fetches;
  memoryBytes(): number;
  dispose(): void;
}
