import { mismatch } from '../errors';
import { Model } from '../model/model';
import type { QuantizedModel } from '../model/quantized-model';
import { type Network, networkCoreOf } from '../nn/networks/network';
import { formatOf, recognize } from './file-format';
import { readModel } from './model-files';
import { readOnnx } from './onnx';
import { type FileSource, ownSource, placeOfSource } from './sources';

/**
 * Reads a model from a file of any kind. The ending of a path decides (.onnx is ONNX, anything else safetensors); for bytes, their
 * beginning decides.
 *
 * @param meanwhile Called while an ONNX file is read.
 */
export async function openModel(
  source: FileSource,
  where: string,
  meanwhile?: () => void,
): Promise<Network | QuantizedModel | Model> {
  const own = ownSource(source, where);
  const format = typeof own === 'string' ? formatOf(own) : recognize(own);
  return format === 'ONNX' ? readOnnx(own, where, meanwhile) : readModel(own, where);
}

/** Same as {@link openModel}, for networks of this package only. @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for others */
export async function openOwnModel(source: FileSource, where: string): Promise<Network | QuantizedModel> {
  const model = await openModel(source, where);
  if (!(model instanceof Model)) return model;
  const received = 'an ONNX file of other origin; it can be run, timed and described';
  throw mismatch('ERR_MODEL_INCOMPATIBLE', placeOfSource(source, where), 'a network of this package', received);
}

/** Same as {@link openModel}; a network of this package is in deploy form. */
export async function openDeployModel(
  source: FileSource,
  where: string,
  meanwhile?: () => void,
): Promise<Network | QuantizedModel | Model> {
  const model = await openModel(source, where, meanwhile);
  return model instanceof Model ? model : fuseInMemory(model, where);
}

/**
 * Fuses a network in place. What it computes in eval mode stays the same.
 *
 * @throws {QARepVGGError} ERR_NON_FINITE
 */
export function fuseInMemory<M extends Network | QuantizedModel>(model: M, where: string): M {
  if (model.form === 'deploy' || model.form === 'int8') return model;
  const core = networkCoreOf(model, where);
  core.become(core.fused('deploy', where));
  return model;
}
