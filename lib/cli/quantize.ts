import { stat } from 'node:fs/promises';
import { describe, within } from '../errors';
import { bytesText, countOf, percent } from '../figures';
import { writeAtomically } from '../formats/atomic';
import { formatOf } from '../formats/file-format';
import { fuseInMemory, openModel } from '../formats/open-model';
import { placeOfSource } from '../formats/sources';
import {
  type AccuracyReport,
  Dataset,
  exportOnnx,
  Model,
  type Network,
  type QuantizationReport,
  type QuantizedModel,
  type QuantizeOptions,
  quantize,
  renderReport,
  saveModel,
} from '../index';
import { findData, loadPart, partOf } from './data';
import { skippedText } from './data-text';
import { filesOf, inputFile } from './input';
import { untilInterrupted } from './interrupt';
import { inFloat } from './network-file';
import { checkOutputs } from './outputs';
import { CalibrationProgress } from './progress';
import { mostJudged } from './quantize-accuracy';
import type { QuantizeFlags } from './quantize-command';
import { misuse } from './usage';
import { batchesOf, compare } from './verify-quantized';

/** The `quantize` command. Resolves to false if it was stopped. */
export async function quantizeFile(from: string, to: string, flags: QuantizeFlags): Promise<boolean> {
  const format = formatOf(to) ?? 'safetensors';
  const reports = flags.report.map((file) => ({ name: '--report', file, format: 'report' }) as const);
  await checkOutputs([{ name: '<to>', file: to, format }, ...reports], filesOf(from, flags.data));
  const source = await inputFile(from);
  const given = await openModel(source);
  if (given instanceof Model) return (await import('./quantize-theirs.js')).quantizeTheirs(given, from, to, flags);
  refusePhotoFlags(flags);
  const opened = within(placeOfSource(source), () => inFloat(given));
  const { form } = opened;
  const network = fuseInMemory(opened);
  const { inputSize, inChannels } = network.options;
  const { train, validation } = await findData(flags.data);
  const reading = { inputSize, inChannels, skipUnreadable: flags.skipUnreadable === true, unlabelled: true };
  const data = await loadPart(partOf(train ?? validation, flags.data, 'to calibrate on'), reading);
  const images = spread(data.images, flags.images);
  const start = performance.now();
  const result = await calibrate(network, images, flags);
  if (!result) return false;
  const seconds = (performance.now() - start) / 1000;
  const { model } = result;
  // Test images of IDX files load fast; decoding another folder of photographs would take longer than everything else.
  const judged = validation?.split ? (await loadPart(validation, reading)).images : images;
  const accuracy = await judge(network, model, judged);
  const report = { ...result.report, ...(accuracy && { accuracy }) };
  if (format === 'ONNX') await exportOnnx(model, to);
  else await saveModel(model, to);
  for (const file of flags.report) await writeReport(report, file);
  const { size } = await stat(to);
  if (flags.json) {
    const { layers, output, recipe } = report;
    const noise = layers.map(({ name, precision, sqnr }) => ({ name, precision, sqnr }));
    const { skipped } = data;
    const summary = {
      from,
      to,
      bytes: size,
      floatBytes: report.floatBytes,
      seconds,
      recipe,
      skipped,
      ...(network !== opened && { fusedFrom: opened.form }),
    };
    const result = { ...summary, sqnr: output.sqnr, ...(accuracy && { accuracy }), layers: noise };
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  } else {
    if (form !== network.form) process.stdout.write(`${from}: fused in memory from ${form} form\n`);
    process.stdout.write(skippedText(data));
    print(model, report, to, size, seconds);
    for (const file of flags.report) process.stdout.write(`${file}: report\n`);
  }
  return true;
}

/** `count` images, evenly spread over the data, which may be sorted by class. */
function spread(data: Dataset, count: number): Dataset {
  if (count >= data.length) return data;
  return data.subset(spreadOver([...Array(data.length).keys()], count));
}

/** `count` entries of a list, evenly spread over it. */
export function spreadOver<T>(list: readonly T[], count: number): T[] {
  if (count >= list.length) return [...list];
  return Array.from({ length: count }, (_, i) => list[Math.floor((i * list.length) / count)] as T);
}

/** @throws {QARepVGGError} ERR_INVALID_ARG for flags that only a model of other origin takes. */
function refusePhotoFlags(flags: QuantizeFlags): void {
  const given = (['size', 'mean', 'std'] as const).find((name) => flags[name] !== undefined);
  if (given === undefined) return;
  throw misuse(`--${given}`, 'no such flag for a network of this package, which has its own', describe(flags[given]));
}

/**
 * Accuracy before and after on up to 1,000 images. Undefined where the classes of the folder are not those of the model.
 */
async function judge(network: Network, model: QuantizedModel, data: Dataset): Promise<AccuracyReport | undefined> {
  const { labels: names, numClasses } = network.options;
  if (names ? data.classes.some((name) => !names.includes(name)) : data.classes.length !== numClasses) return undefined;
  const { images, dims, labels, classes } = spread(data, mostJudged);
  const own = names ? labels.map((label) => names.indexOf(classes[label] as string)) : labels;
  const judged = new Dataset({ images, dims, labels: own, classes: names ?? classes });
  const { accuracy, agreement, images: count } = await compare(network, model, batchesOf(judged));
  return accuracy && { images: count, ...accuracy, agreement };
}

/** Resolves to undefined if it was stopped. */
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

export function optionsOf(flags: QuantizeFlags): QuantizeOptions {
  const names = ['method', 'percentile', 'scheme', 'keepFloat', 'threads'] as const;
  const given = names.filter((name) => flags[name] !== undefined).map((name) => [name, flags[name]] as const);
  return {
    ...(Object.fromEntries(given) as QuantizeOptions),
    perChannel: flags.perTensor !== true,
    bits: { weights: flags.weightBits, activations: flags.activationBits },
    // Where they are not wanted, quantize decides.
    ...(flags.equalize && { equalize: true }),
    ...(flags.biasCorrection && { biasCorrection: true }),
    quantizeLogits: flags.quantizeLogits === true,
  };
}

export async function writeReport(report: QuantizationReport, file: string): Promise<void> {
  const text = /\.json$/i.test(file) ? `${JSON.stringify(report, null, 2)}\n` : renderReport(report);
  await writeAtomically(file, Buffer.from(text));
}

function print(model: QuantizedModel, report: QuantizationReport, to: string, size: number, seconds: number): void {
  const { layers, output, floatBytes, recipe, accuracy } = report;
  const worst = layers.reduce((least, layer) => (layer.sqnr < least.sqnr ? layer : least));
  const share = ((100 * size) / floatBytes).toFixed(1);
  process.stdout.write(
    `${model}: ${countOf(recipe.images, 'image')} in ${seconds.toFixed(1)} s\n` +
      accuracyText(accuracy) +
      `signal to quantisation noise: logits ${output.sqnr.toFixed(1)} dB, at worst ${worst.sqnr.toFixed(1)} dB (${worst.name})\n` +
      `${to}: ${bytesText(size)}, ${share} % of the weights in float32\n`,
  );
}

export function accuracyText(accuracy: AccuracyReport | undefined): string {
  if (!accuracy) return '';
  const [float, quantized] = [accuracy.float, accuracy.quantized].map(percent);
  return `accuracy on ${accuracy.images.toLocaleString('en-US')} images: ${float} in float, ${quantized} quantised\n`;
}
