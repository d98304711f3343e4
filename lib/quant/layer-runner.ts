import type { Session } from '../../binding';
import { addon } from '../binding';
import { type FloatLayer, floatOp } from '../integer/layers';
import { stateOf } from '../integer/lower';
import { letOthersRun, throwIfAborted } from '../runtime/abort';
import type { Tensor } from '../tensor';
import type { CheckedQuantizeOptions } from './options';

/** What layers are run with. */
export type RunOptions = Pick<CheckedQuantizeOptions, 'threads' | 'signal'>;

/** Runs one float layer by itself, off the JavaScript thread. Its weights are packed when the first images come. */
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

  /** What the layer makes of images [n, c, h, w]. But for the first time it is under way when the call returns. */
  async run({ data, dims }: Tensor): Promise<Tensor> {
    const [count, , height, width] = dims as [number, number, number, number];
    this.#session ??= await this.#open(dims);
    const session = this.#session;
    const output = session.outputDims(height, width);
    return { data: await session.run(data, count, height, width).promise, dims: [count, ...output] };
  }

  dispose(): void {
    this.#session?.dispose();
  }

  async #open(dims: readonly number[]): Promise<Session> {
    const { threads, signal } = this.#options;
    const layer = this.#layer();
    await letOthersRun(signal, this.#where);
    const state = stateOf(layer, this.#where);
    await letOthersRun(signal, this.#where);
    const spec = { input: dims, ops: [floatOp(layer, 0, 0)], stateLength: state.length } as const;
    return addon.createSession({ ...spec, algorithm: 'auto', threads }, state);
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
