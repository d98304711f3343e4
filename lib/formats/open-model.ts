import type { QuantizedModel } from '../integer/quantized-model';
import type { Network } from '../nn/network';
import { formatOf } from './file-format';
import { readModel } from './model-files';
import { readOnnx } from './onnx';

/** Reads a network, quantised or not, from a file of either kind: ONNX when its name says so, otherwise safetensors. */
export async function openModel(path: string, where: string): Promise<Network | QuantizedModel> {
  return formatOf(path) === 'ONNX' ? readOnnx(path, where) : readModel(path, where);
}
