import { stat } from 'node:fs/promises';
import { within } from '../errors';
import { bytesText } from '../figures';
import { checkEnding, type FileFormat, formatOf } from '../formats/file-format';
import { fuseInMemory, openModel } from '../formats/open-model';
import { sizeOf } from '../image-size';
import { exportOnnx, Model, saveModel } from '../index';
import { filesOf, inputFile } from './input';
import { checkOutputs } from './outputs';
import { checkUsage } from './usage';

/** The `export` command: a model file as an ONNX file. */
export async function exportModel(from: string, to: string, { json = false }): Promise<void> {
  const format = formatOf(to) ?? 'ONNX';
  await checkOutputs([{ name: '<file>', file: to, format }], filesOf(from));
  const opened = await openModel(await inputFile(from));
  if (opened instanceof Model) return exportTheirs(opened, from, to, format, json);
  checkUsage(() => within('<file>', () => checkEnding(to, 'ONNX')));
  const { form } = opened;
  const model = fuseInMemory(opened);
  await exportOnnx(model, to);
  const { size } = await stat(to);
  if (json) {
    const { architecture, numClasses, inputSize, inChannels } = model.options;
    const result = {
      from,
      to,
      bytes: size,
      ...(form !== model.form && { fusedFrom: form }),
      architecture,
      inputDims: ['N', inChannels, ...sizeOf(inputSize)],
      numClasses,
    };
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  } else {
    const fused = form === model.form ? '' : `, fused in memory from ${form} form`;
    process.stdout.write(`${to}: ${model}${fused}, ${bytesText(size)}\n`);
  }
}

/** A model of other origin, as a file of either kind. */
async function exportTheirs(model: Model, from: string, to: string, format: FileFormat, json: boolean): Promise<void> {
  await (format === 'ONNX' ? exportOnnx(model, to) : saveModel(model, to));
  const { size } = await stat(to);
  const { inputs, outputs } = model;
  const text = json
    ? JSON.stringify({ from, to, bytes: size, inputs, outputs }, null, 2)
    : `${to}: ${model}, ${bytesText(size)}`;
  process.stdout.write(`${text}\n`);
}
