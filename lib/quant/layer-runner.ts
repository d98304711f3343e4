import type { Session } from '../../binding';
import { addon } from '../binding';
import { callNative } from '../errors';
import type { Graph } from '../graph/graph';
import { lowerGraph } from '../graph/lower';
import { optimize } from '../graph/passes';
import { type FloatConv, type FloatLayer, tensorsOf } from '../integer/layers';
import { ChainGraph, inputName } from '../nn/networks/graph';
import { letOthersRun, throwIfAborted } from '../runtime/abort';
import { atOnce } from '../slices';
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
    const [channels, ...pixels] = dims.slice(1) as [number, ...number[]];
    const image = new Map([[inputName, [1, channels, ...pixels]]]);
    const graph = atOnce(optimize(layerGraph(layer, channels), image, this.#where));
    const options = { independent: true, together: dims[0] as number, algorithm: 'auto', threads } as const;
    return callNative(this.#where, () => addon.createSession({ ...lowerGraph(graph, this.#where), ...options }));
  }
}

/** Of images, also for a linear layer. */
function layerGraph(layer: FloatLayer, channels: number): Graph {
  const chain = new ChainGraph();
  const step = layer.kind === 'conv' ? { ...layer, weightDims: kernelDims(layer) } : layer;
  chain.add(step, tensorsOf(layer));
  return chain.finish([step], channels, false);
}

function kernelDims({ weightDims: [outChannels = 0, depth = 0], kernel }: FloatConv): readonly number[] {
  return [outChannels, depth, kernel, kernel];
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
