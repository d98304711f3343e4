import type { Network } from '../nn/network';
import { loadModel } from './model-files';
import { importOnnx } from './onnx';

/** Reads a network from a file of either kind: ONNX when its name says so, otherwise safetensors. */
export async function openModel(path: string): Promise<Network> {
  return /\.onnx$/i.test(path) ? importOnnx(path) : loadModel(path);
}
