import { type FloatLayer, outputParameters, type QuantizationParameters, type QuantizedLayer } from '../integer/layers';
import { letOthersRun } from '../runtime/abort';
import type { Tensor } from '../tensor';
import { dequantizeConv } from './convolution';
import { LayerRunner, type RunOptions } from './layer-runner';

const { fround, max, min } = Math;

/** The same layer in float and quantised, on the same images. */
export interface Comparison {
  readonly layer: number;
  /** [n, c, h, w] of the float model, before the ReLU of a convolution. */
  readonly exact: Tensor;
  /** The same of the quantised model. */
  readonly quantized: Tensor;
}

/**
 * A model and its quantised form side by side, layer by layer. Integers are simulated by floats that are multiples of their
 * scale, which is as good as the integers but for ties; what is measured and corrected here is far larger than they are.
 */
export class Simulation {
  readonly #layers: readonly QuantizedLayer[];
  readonly #output: QuantizationParameters | undefined;
  readonly #exact: readonly LayerRunner[];
  readonly #quantized: readonly LayerRunner[];
  readonly #signal: AbortSignal | undefined;
  readonly #where: string;

  constructor(
    float: readonly FloatLayer[],
    quantized: readonly QuantizedLayer[],
    output: QuantizationParameters | undefined,
    options: RunOptions,
    where: string,
  ) {
    const runner = (layer: QuantizedLayer): LayerRunner =>
      new LayerRunner(() => withoutRelu(toFloat(layer)), options, where);
    this.#layers = quantized;
    this.#output = output;
    this.#exact = float.map(runner);
    this.#quantized = quantized.map(runner);
    this.#signal = options.signal;
    this.#where = where;
  }

  /**
   * Runs both. `beforeRelu` may change the quantised values; `after` sees what the next layer takes: after ReLU and, of the
   * quantised model, rounding.
   *
   * @throws {QARepVGGError} ERR_ABORTED within a layer and between two; whatever the functions throw.
   */
  async run(
    images: Tensor,
    { beforeRelu, after }: { beforeRelu?(values: Comparison): void; after?(values: Comparison): void },
  ): Promise<void> {
    let exact = images;
    let quantized: Tensor = { data: images.data.slice(), dims: images.dims };
    round(quantized.data, this.#layers[0]?.precision === 'int8' ? this.#layers[0].input : undefined, false);
    for (const [i, layer] of this.#layers.entries()) {
      exact = await (this.#exact[i] as LayerRunner).run(exact);
      quantized = await (this.#quantized[i] as LayerRunner).run(quantized);
      beforeRelu?.({ layer: i, exact, quantized });
      await letOthersRun(this.#signal, this.#where);
      const relu = layer.kind === 'conv' && layer.relu;
      round(exact.data, undefined, relu);
      round(quantized.data, outputParameters(this.#layers, i, this.#output), relu);
      await letOthersRun(this.#signal, this.#where);
      after?.({ layer: i, exact, quantized });
    }
  }

  dispose(): void {
    for (const runner of [...this.#exact, ...this.#quantized]) runner.dispose();
  }
}

function withoutRelu(layer: FloatLayer): FloatLayer {
  return layer.kind === 'conv' ? { ...layer, relu: false } : layer;
}

function toFloat(layer: QuantizedLayer): FloatLayer {
  if (layer.precision === 'float32') return layer;
  return layer.kind === 'conv' ? dequantizeConv(layer) : { ...layer, precision: 'float32' };
}

/** Added to a number of up to 2^22 and taken away again in float32, it leaves an integer: halves go to the even one. */
const magic = 1.5 * 2 ** 23;

/** In place: a ReLU, then the nearest multiple of the scale that a byte can stand for. */
function round(values: Float32Array, parameters: QuantizationParameters | undefined, relu: boolean): void {
  if (!parameters) {
    if (!relu) return;
    for (let i = 0; i < values.length; i++) if ((values[i] as number) < 0) values[i] = 0;
    return;
  }
  const { scale, zeroPoint } = parameters;
  const low = relu ? 0 : -zeroPoint;
  const high = 255 - zeroPoint;
  for (let i = 0; i < values.length; i++) {
    const step = min(max((values[i] as number) / scale, low), high);
    values[i] = (fround(step + magic) - magic) * scale;
  }
}
