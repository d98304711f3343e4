import { type IntegerConv, type Network, type QuantizedModel, randn, type Tensor } from '../../lib';
import { within } from '../../lib/errors';
import { packQuantized } from '../../lib/formats/quantized-files';
import { serializeSafetensors } from '../../lib/formats/safetensors';
import { Ratio } from '../../lib/quant/report';
import { runIntegers } from './integer';
import { deployNetwork, tiny } from './networks';

// What the tests of quantize() work on.
export const network = deployNetwork('qarepvgg_a0', tiny);
export const images = (seed: number, n = 4): Tensor => randn([n, 2, 17, 17], { seed });
export const batches = [images(1), images(2, 10), images(3, 1)];
export const unseen = images(9);
export const throwing = () => {
  throw new RangeError('thrown by the caller');
};

/** Everything that a quantised network is. */
export function fingerprint(model: QuantizedModel): string {
  const { tensors, metadata } = within('test', () => packQuantized(model));
  return Buffer.from(serializeSafetensors(tensors, metadata)).toString('latin1');
}

/** Signal to noise of the integers' logits, in decibels. */
export function decibels(model: QuantizedModel, float: Network, inputs: readonly Tensor[] = [unseen]): number {
  const ratio = new Ratio();
  for (const x of inputs) ratio.add(float.forward(x).data, runIntegers(model, x).data);
  return ratio.decibels;
}

export function integerLayers(model: QuantizedModel): IntegerConv[] {
  return model.layers.filter((layer): layer is IntegerConv => layer.kind === 'conv' && layer.precision === 'int8');
}
