import { stat } from 'node:fs/promises';
import { mismatch } from '../errors';
import { writeAtomically } from '../formats/atomic';
import { formatOf } from '../formats/file-format';
import { placeOf } from '../formats/files';
import {
  type Dataset,
  exportOnnx,
  type Network,
  type QuantizationReport,
  type QuantizedModel,
  type QuantizeOptions,
  quantize,
  renderReport,
  saveModel,
} from '../index';
import { openData } from './data';
import { untilInterrupted } from './interrupt';
import { openNetwork } from './network-file';
import { checkOutputs } from './outputs';
import { CalibrationProgress } from './progress';
import type { QuantizeFlags } from './quantize-command';

/** The `quantize` command. False when it was stopped before its end. */
export async function quantizeFile(from: string, to: string, flags: QuantizeFlags): Promise<boolean> {
  const where = 'quantize';
  const format = formatOf(to) ?? 'safetensors';
  const reports = flags.report.map((file) => ({ name: '--report', file, format: 'report' }) as const);
  await checkOutputs(where, [{ name: '<to>', file: to, format }, ...reports], [from, flags.data]);
  const network = await openNetwork(from, {}, where);
  if (network.form !== 'deploy') {
    const received = `one in ${network.form} form; fuse it first: qarepvgg fuse ${from} deploy.safetensors`;
    throw mismatch('ERR_MODEL_INCOMPATIBLE', placeOf(from, where), 'a model in deploy form', received);
  }
  const { inputSize, inChannels } = network.options;
  const images = spread((await openData(flags.data, { inputSize, inChannels }, where)).train, flags.images);
  const start = performance.now();
  const result = await calibrate(network, images, flags);
  if (!result) return false;
  const seconds = (performance.now() - start) / 1000;
  const { model, report } = result;
  if (format === 'ONNX') await exportOnnx(model, to);
  else await saveModel(model, to);
  for (const file of flags.report) await writeReport(report, file);
  const { size } = await stat(to);
  if (flags.json) {
    const { layers, output, recipe } = report;
    const noise = layers.map(({ name, precision, sqnr }) => ({ name, precision, sqnr }));
    const summary = { from, to, bytes: size, floatBytes: report.floatBytes, seconds, recipe };
    process.stdout.write(`${JSON.stringify({ ...summary, sqnr: output.sqnr, layers: noise }, null, 2)}\n`);
  } else {
    print(model, report, to, size, seconds);
    for (const file of flags.report) process.stdout.write(`${file}: report\n`);
  }
  return true;
}

/** So many images, evenly spread over the data: they may be in the order of their classes. */
function spread(data: Dataset, count: number): Dataset {
  if (count >= data.length) return data;
  return data.subset(Array.from({ length: count }, (_, i) => Math.floor((i * data.length) / count)));
}

/** Nothing when it was stopped. */
async function calibrate(network: Network, images: Dataset, flags: QuantizeFlags) {
  const passes = 1 + (flags.equalize ? 1 : 0) + (flags.biasCorrection ? 1 : 0);
  const progress = new CalibrationProgress(passes * images.length, images.length, flags.json === true);
  const work = untilInterrupted((signal) =>
    quantize(network, images, { ...optionsOf(flags), signal, onProgress: (event) => progress.show(event) }),
  );
  // Before anything else is written: the bar takes its line with it.
  const result = await work.finally(() => progress.stop());
  if (!result) process.stderr.write('stopped; nothing is written\n');
  return result;
}

function optionsOf(flags: QuantizeFlags): QuantizeOptions {
  const names = ['method', 'percentile', 'scheme', 'keepFloat', 'threads'] as const;
  const given = names.filter((name) => flags[name] !== undefined).map((name) => [name, flags[name]] as const);
  return {
    ...(Object.fromEntries(given) as QuantizeOptions),
    perChannel: flags.perTensor !== true,
    bits: { weights: flags.weightBits, activations: flags.activationBits },
    equalize: flags.equalize === true,
    biasCorrection: flags.biasCorrection === true,
    quantizeLogits: flags.quantizeLogits === true,
  };
}

async function writeReport(report: QuantizationReport, file: string): Promise<void> {
  const text = /\.json$/i.test(file) ? `${JSON.stringify(report, null, 2)}\n` : renderReport(report);
  await writeAtomically(file, Buffer.from(text), 'quantize');
}

function print(model: QuantizedModel, report: QuantizationReport, to: string, size: number, seconds: number): void {
  const { layers, output, floatBytes, recipe } = report;
  const worst = layers.reduce((least, layer) => (layer.sqnr < least.sqnr ? layer : least));
  const share = ((100 * size) / floatBytes).toFixed(1);
  process.stdout.write(
    `${model}: ${recipe.images} images in ${seconds.toFixed(1)} s\n` +
      `signal to quantisation noise: logits ${output.sqnr.toFixed(1)} dB, at worst ${worst.sqnr.toFixed(1)} dB (${worst.name})\n` +
      `${to}: ${(size / 1024).toFixed(1)} KiB, ${share} % of the weights in float32\n`,
  );
}
