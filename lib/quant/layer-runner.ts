import type { Session } from '../../binding';
import { addon } from '../binding';
import { callNative } from '../errors';
import { chainSpec } from '../integer/chain-spec';
import { type FloatLayer, floatOp } from '../integer/layers';
import { stateOf } from '../integer/lower';
import { letOthersRun, throwIfAborted } from '../runtime/abort';
import type { Tensor } from '../tensor';
import type { CheckedQuantizeOptions } from './options';

/** What layers are run with. */
export type RunOptions = Pick<CheckedQuantizeOptions, 'threads' | 'signal'>;

/** Runs one float layer alone, off the JavaScript thread. Its weights are packed when the first images come. */
export class LayerRunner {
  readonly #layer: () => FloatLayer;
  readonly #options: RunOptions;
  readonly #where: string;
  #session: Session | undefined;

  /** The layer is asked for when the first images come, too. */
  constructor(layer: () => FloatLayer, options: RunOptions, where: string) {
    this.#layer = layer;
    this.#options = options;
    this.#where = where;
  }

  /** What the layer makes of images [n, c, h, w]. Except for the first time, it is computing when the call returns. */
  async run({ data, dims }: Tensor): Promise<Tensor> {
    const [count, ...one] = dims as [number, ...number[]];
    this.#session ??= await this.#open(dims);
    const session = this.#session;
    const size = [[1, ...one]];
    const [output = []] = session.outputDims(size);
    const [result] = await session.run([data], count, size).promise;
    return { data: result as Float32Array, dims: [count, ...output.slice(1)] };
  }

  dispose(): void {
    this.#session?.dispose();
  }

  async #open(dims: readonly number[]): Promise<Session> {
    const { threads = 0, signal } = this.#options;
    const layer = this.#layer();
    await letOthersRun(signal, this.#where);
    const state = stateOf(layer, this.#where);
    await letOthersRun(signal, this.#where);
    const chain = chainSpec([floatOp(layer, 0, 0)], state, dims.slice(1));
    const options = { independent: true, together: dims[0] as number, algorithm: 'auto', threads, take: true } as const;
    return callNative(this.#where, () => addon.createSession({ ...chain, ...options }));
  }
}

/** Runs layers one after the other, and shows what goes from one to the next. */
export class ChainRunner {
  readonly #runners: readonly LayerRunner[];
  readonly #signal: AbortSignal | undefined;
  readonly #where: string;

  constructor(layers: readonly FloatLayer[], options: RunOptions, where: string) {
    this.#runners = layers.map((layer) => new LayerRunner(() => layer, options, where));
    this.#signal = options.signal;
    this.#where = where;
  }

  /**
   * `look` sees value 0, which goes in, and for each layer i the value i + 1, which it puts out. It is called while the next
   * layer computes.
   *
   * @throws {QARepVGGError} ERR_ABORTED between two layers; whatever `look` throws.
   */
  async run(images: Tensor, look: (index: number, value: Tensor) => void): Promise<void> {
    let value = images;
    for (const [i, runner] of this.#runners.entries()) {
      const next = runner.run(value);
      // Should `look` throw, nobody waits for it any more.
      next.catch(() => undefined);
      look(i, value);
      value = await next;
      throwIfAborted(this.#signal, this.#where);
    }
    look(this.#runners.length, value);
  }

  dispose(): void {
    for (const runner of this.#runners) runner.dispose();
  }
}
