import { types } from 'node:util';
import type { Graph } from '../graph/graph';
import { sizeOf } from '../graph/graph';
import { Model } from '../model/model';
import { letOthersRun } from '../runtime/abort';
import type { Feeds } from '../runtime/feeds';
import { InferenceSession } from '../runtime/session';
import type { Tensor } from '../tensor';
import type { CheckedQuantizeOptions } from './options';

/** Tensors by the name of an input, and the number of images in them. */
export interface FeedChunk {
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly count: number;
}

/** A run shows at most this many bytes of values. */
const maxBytes = 2 ** 27;

interface Part {
  readonly names: readonly string[];
  session?: InferenceSession;
}

/** Runs a graph and shows values within it: in several parts, if all of them would take too much memory. */
export class Observer {
  readonly #parts: readonly Part[];
  readonly #graph: Graph;
  readonly #options: Pick<CheckedQuantizeOptions, 'threads' | 'signal'>;

  /**
   * @param names Values in the order in which they are computed.
   * @param graph Must know the dims of the values for one image.
   * @param images A run has at most this many images.
   */
  constructor(
    graph: Graph,
    names: readonly string[],
    images: number,
    options: Pick<CheckedQuantizeOptions, 'threads' | 'signal'>,
    /** This many consecutive names are always shown together. */
    together = 1,
  ) {
    this.#graph = graph;
    this.#options = options;
    this.#parts = partsOf(graph, names, images, together).map((names) => ({ names }));
  }

  get parts(): number {
    return this.#parts.length;
  }

  /** Returns the values of one part. @throws {QARepVGGError} ERR_ABORTED; the errors of {@link InferenceSession.run} */
  async run(part: number, { feeds }: FeedChunk): Promise<Map<string, Tensor>> {
    const found = this.#parts[part] as Part;
    const { signal } = this.#options;
    const inputs = new Set(this.#graph.inputs.map(({ name }) => name));
    const computed = found.names.filter((name) => !inputs.has(name));
    const shown = new Map<string, Tensor>();
    for (const name of found.names) if (feeds[name]) shown.set(name, feeds[name]);
    if (computed.length === 0) return shown;
    found.session ??= await this.#open(computed, feeds);
    const fetches = await found.session.run(feeds as unknown as Feeds, signal ? { signal } : {});
    for (const name of computed) {
      const { data, dims } = fetches[name] as unknown as Tensor;
      if (types.isFloat32Array(data)) shown.set(name, { data, dims });
    }
    return shown;
  }

  /** Calls `look` for all values, part by part. */
  async show(chunk: FeedChunk, look: (name: string, value: Tensor) => void): Promise<void> {
    for (let part = 0; part < this.parts; part++) {
      for (const [name, value] of await this.run(part, chunk)) {
        look(name, value);
        await letOthersRun(this.#options.signal);
      }
    }
  }

  dispose(): void {
    for (const { session } of this.#parts) session?.dispose();
  }

  #open(outputs: readonly string[], feeds: FeedChunk['feeds']): Promise<InferenceSession> {
    const { threads } = this.#options;
    const inputs = Object.fromEntries(Object.entries(feeds).map(([name, { dims }]) => [name, dims]));
    return InferenceSession.create(new Model({ ...this.#graph, outputs }), { threads, inputs });
  }
}

/** Splits names into parts that fit into memory, of at least `together` names each. */
function partsOf(graph: Graph, names: readonly string[], images: number, together: number): string[][] {
  const parts: string[][] = [];
  let room = 0;
  for (let i = 0; i < names.length; i += together) {
    const next = names.slice(i, i + together);
    const bytes = next.reduce(
      (sum, name) => sum + 4 * images * sizeOf((graph.values.get(name)?.dims ?? []) as readonly number[]),
      0,
    );
    if (parts.length === 0 || bytes > room) {
      parts.push([]);
      room = maxBytes;
    }
    parts.at(-1)?.push(...next);
    room -= bytes;
  }
  return parts;
}
