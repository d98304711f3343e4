import { stat } from 'node:fs/promises';
import { openModel } from '../formats/open-model';
import { exportOnnx } from '../index';
import { checkOutputs } from './outputs';

/** The `export` command: a model file in deploy form as an ONNX file. */
export async function exportModel(from: string, to: string, { json = false }): Promise<void> {
  await checkOutputs('export', [{ name: '<file>', file: to, format: 'ONNX' }], [from]);
  const model = await openModel(from, 'export');
  await exportOnnx(model, to);
  const { size } = await stat(to);
  if (json) {
    const { architecture, numClasses, inputSize, inChannels } = model.options;
    const result = {
      from,
      to,
      bytes: size,
      architecture,
      inputDims: ['N', inChannels, inputSize, inputSize],
      numClasses,
    };
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  } else {
    process.stdout.write(`${to}: ${model}, ${(size / 2 ** 20).toFixed(1)} MiB\n`);
  }
}
