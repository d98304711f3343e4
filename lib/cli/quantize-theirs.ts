import { stat } from 'node:fs/promises';
import { bytesText, countOf } from '../figures';
import { formatOf } from '../formats/file-format';
import { exportOnnx, type Model, type QuantizationReport, quantize, saveModel } from '../index';
import { adviceText } from '../quant/report-page';
import { listImages } from '../vision/list-images';
import { untilInterrupted } from './interrupt';
import { CalibrationProgress } from './progress';
import { accuracyText, optionsOf, spreadOver, writeReport } from './quantize';
import { judgeModels, mostJudged } from './quantize-accuracy';
import type { QuantizeFlags } from './quantize-command';
import { photoInputOf, photoTensors } from './quantize-photos';

/** An image file that cannot be read. */
interface Skipped {
  readonly path: string;
  readonly reason: string;
}

/** The `quantize` command for a model of other origin. Resolves to false if it was stopped. */
export async function quantizeTheirs(model: Model, from: string, to: string, flags: QuantizeFlags): Promise<boolean> {
  const input = photoInputOf(model, flags);
  const list = await listImages(flags.data, true);
  const paths = spreadOver(
    list.images.map(({ path }) => path),
    flags.images,
  );
  const skipped = new Map<string, Skipped>();
  const onUnreadable = (path: string, { message }: Error): void => {
    skipped.set(path, { path, reason: message });
  };
  const photos = () => photoTensors(paths, input, flags.skipUnreadable ? onUnreadable : undefined);
  const options = optionsOf(flags);
  const passes = 1 + (options.equalize ? 1 : 0) + (options.biasCorrection ? 1 : 0);
  const progress = new CalibrationProgress(passes * paths.length, paths.length, flags.json === true);
  const start = performance.now();
  const work = untilInterrupted((signal) =>
    quantize(model, photos, { ...options, signal, onProgress: (event) => progress.show(event) }),
  );
  // Before anything else is written: the bar takes its line with it.
  const result = await work.finally(() => progress.stop());
  if (!result) {
    process.stderr.write('stopped; nothing is written\n');
    return false;
  }
  const seconds = (performance.now() - start) / 1000;
  const judged = { ...list, images: spreadOver(list.images, mostJudged) };
  const accuracy = await judgeModels(model, result.model, judged, input);
  const report = { ...result.report, ...(accuracy && { accuracy }) };
  if (formatOf(to) === 'ONNX') await exportOnnx(result.model, to);
  else await saveModel(result.model, to);
  for (const file of flags.report) await writeReport(report, file);
  const { size } = await stat(to);
  if (flags.json) print(from, to, size, seconds, report, [...skipped.values()]);
  else {
    for (const { path, reason } of skipped.values()) process.stdout.write(`${path}: skipped, ${reason}\n`);
    describe(result.model, report, to, size, seconds);
    for (const file of flags.report) process.stdout.write(`${file}: report\n`);
  }
  return true;
}

function print(
  from: string,
  to: string,
  bytes: number,
  seconds: number,
  { layers, outputs = [], output, advice, recipe, floatBytes, accuracy }: QuantizationReport,
  skipped: readonly Skipped[],
): void {
  const result = {
    from,
    to,
    bytes,
    floatBytes,
    seconds,
    recipe,
    skipped,
    sqnr: output.sqnr,
    outputs: outputs.map(({ name, sqnr }) => ({ name, sqnr })),
    ...(advice && { advice }),
    ...(accuracy && { accuracy }),
    layers: layers.map(({ name, kind, precision, reason, sqnr }) => ({ name, kind, precision, reason, sqnr })),
  };
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
}

function describe(model: Model, report: QuantizationReport, to: string, size: number, seconds: number): void {
  const { layers, outputs = [], floatBytes, recipe, accuracy } = report;
  const integer = layers.filter(({ precision }) => precision === 'int8').length;
  const noise = outputs.map(({ name, sqnr }) => `${name} ${sqnr.toFixed(1)} dB`).join(', ');
  const quality =
    integer === 0
      ? 'no node computes in integers, so the quantised model computes what the float one does\n'
      : `signal to quantisation noise: ${noise}\n`;
  const share = floatBytes > 0 ? `, ${((100 * size) / floatBytes).toFixed(1)} % of the weights in float32` : '';
  const advice = adviceText(report);
  process.stdout.write(
    `${model}: ${countOf(recipe.images, 'image')} in ${seconds.toFixed(1)} s, ${integer} of ${layers.length} nodes in integers\n` +
      accuracyText(accuracy) +
      quality +
      (advice === undefined ? '' : `${advice}\n`) +
      `${to}: ${bytesText(size)}${share}\n`,
  );
}
