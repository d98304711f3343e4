import type { QuantizedModel } from '../../integer/quantized-model';
import type { Module } from '../../nn/module';
import type { Network } from '../../nn/network';
import { writeAtomically } from '../atomic';
import { checkEnding, checkStart } from '../file-format';
import { placeOf, readWholeFile } from '../files';

/** Loaded when the first ONNX file is met: with the protocol buffers it takes longer than all else that the package loads. */
const document = () => import('./document.js');

/**
 * Writes a model in deploy form, or a quantised one, as an ONNX file, all of it or nothing: opset 13, input `input`
 * [N, c, h, w] in float32, output `logits`; the number of images is open, and for blocks and convolutions their size. A network takes images of its
 * `inputSize`, with its preprocessing applied; the metadata of the file hold both, and all that {@link importOnnx} needs.
 * Quantised layers are in QDQ form: u8 activations, s8 weights with a scale for each output channel, s32 biases.
 *
 * @throws {QARepVGGError} (rejects) ERR_MODEL_INCOMPATIBLE for a model that is not in deploy form; ERR_INVALID_ARG for a path
 * that cannot be written, and for a name that ends in .safetensors; ERR_LIMIT when the disk is full.
 *
 * @example
 * await exportOnnx(model.eval().switchToDeploy(), 'model.onnx');
 */
export async function exportOnnx(model: Module | QuantizedModel, path: string): Promise<void> {
  const where = 'exportOnnx';
  checkEnding(path, 'ONNX', where);
  const { serializeOnnx } = await document();
  await writeAtomically(path, serializeOnnx(model, where), where);
}

/**
 * Reads a network that {@link exportOnnx} has written: in deploy form and eval mode, or quantised, as the file says; the type
 * parameter says what the caller expects. A graph that another tool has changed is refused, as it would no longer be what the
 * metadata say.
 *
 * @throws {QARepVGGError} (rejects) ERR_MODEL_FORMAT for a file that is damaged, or of other origin; ERR_QUANT_PARAM as
 * `loadModel`; ERR_INVALID_ARG for a path that cannot be read; ERR_LIMIT, ERR_OUT_OF_MEMORY.
 *
 * @example
 * const model = await importOnnx('model.onnx');
 */
export async function importOnnx<M extends Network | QuantizedModel = Network>(path: string): Promise<M> {
  return (await readOnnx(path, 'importOnnx')) as M;
}

/** As {@link importOnnx}, of either kind. */
export async function readOnnx(path: string, where: string): Promise<Network | QuantizedModel> {
  const place = placeOf(path, where);
  const { parseOnnx } = await document();
  const bytes = await readWholeFile(path, where);
  checkStart(bytes, 'ONNX', place);
  return parseOnnx<Network | QuantizedModel>(bytes, place);
}
