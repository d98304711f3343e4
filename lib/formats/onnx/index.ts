import { dirname } from 'node:path';
import { boundary, mismatch } from '../../errors';
import type { Model } from '../../model/model';
import type { QuantizedModel } from '../../model/quantized-model';
import type { Module } from '../../nn/module';
import type { Network } from '../../nn/networks/network';
import { writeAtomically } from '../atomic';
import { checkEnding, checkStart } from '../file-format';
import { useFile, withinFile } from '../files';
import { type FileSource, ownSource } from '../sources';
import type { PackedModel } from './packed';

const maxBytes = 2 ** 31 - 1;

/** Loaded with the first ONNX file. */
const later = (): typeof import('./later') => require('./later');

/**
 * Writes a model in deploy form, or a quantised one, as an ONNX file: all of it or nothing. A network of this package is written
 * in opset 13, with input `input` [N, c, H, W] in float32 and output `logits`; number and size of the images are open. Its input
 * is images with the preprocessing applied. The metadata of the file holds the preprocessing, `inputSize`, and everything else
 * that {@link importOnnx} needs. Quantised layers are in QDQ form: u8 activations, s8 weights with a scale for each output
 * channel, s32 biases.
 *
 * A {@link Model} is written node by node under its own names, in opset 18, or 21 if its operators need that, or 13 if it is
 * quantised. Open dims stay open, and labels and preprocessing go into the metadata.
 *
 * @throws {QARepVGGError} (rejects) ERR_MODEL_INCOMPATIBLE for a model that is not in deploy form; ERR_INVALID_ARG for a path
 * that cannot be written, and for a name that ends in .safetensors; ERR_LIMIT when the disk is full.
 *
 * @example
 * await exportOnnx(model.eval().switchToDeploy(), 'model.onnx');
 */
export async function exportOnnx(model: Module | QuantizedModel | Model, path: string | URL): Promise<void> {
  return boundary('exportOnnx', async () => {
    checkEnding(path, 'ONNX');
    await writeAtomically(path, later().serializeOnnx(model));
  });
}

/**
 * Reads an ONNX file. A network that {@link exportOnnx} has written is restored, in deploy form and eval mode, or quantised. It is
 * refused if another tool has changed its graph, because that would contradict the metadata. A file of any other origin (opsets
 * 1 to 21) becomes a {@link Model}; its tensors may be in files of their own in its folder. The type parameter says what the
 * caller expects. Bytes are copied before the call returns its promise.
 *
 * @throws {QARepVGGError} (rejects) ERR_MODEL_INCOMPATIBLE naming every node that this package does not compute;
 * ERR_MODEL_FORMAT for a damaged file; ERR_QUANT_PARAM for scales that are invalid and sums that could exceed 32 bits;
 * ERR_INVALID_ARG for a path that cannot be read; ERR_LIMIT, ERR_OUT_OF_MEMORY.
 *
 * @example
 * const model = await importOnnx('model.onnx');
 * const detector = await importOnnx<Model>('yolov6n.onnx');
 */
export async function importOnnx<M extends Network | QuantizedModel | Model = Network | QuantizedModel>(
  source: FileSource,
): Promise<M> {
  return boundary('importOnnx', async () => (await readOnnx(ownSource(source))) as M);
}

/** Same as {@link importOnnx}, without expecting a kind. */
export async function readOnnx(source: string | Uint8Array): Promise<Network | QuantizedModel | Model> {
  return withinFile(source, async () => {
    const bytes = await useFile(source, (file) => {
      if (file.size > maxBytes) {
        throw mismatch('ERR_LIMIT', `at most ${maxBytes} bytes, the limit of protocol buffers`, `${file.size}`);
      }
      const reading = file.read(file.size);
      later(); // while the file is read
      return reading;
    });
    checkStart(bytes, 'ONNX');
    return later().importModel(bytes, typeof source === 'string' ? dirname(source) : undefined);
  });
}

/** The graph and the tensors of a model as `saveModel` writes them. */
export async function packModel(model: Model): Promise<PackedModel> {
  return later().packModel(model);
}

/** The inverse of {@link packModel}. @throws {QARepVGGError} ERR_MODEL_FORMAT, ERR_MODEL_INCOMPATIBLE */
export async function unpackModel(parts: PackedModel): Promise<Model> {
  return later().unpackModel(parts);
}
