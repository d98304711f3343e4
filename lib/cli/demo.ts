import { readFileSync } from 'node:fs';
import path from 'node:path';
import { styleText } from 'node:util';
import { mismatch } from '../errors';
import { readPpm } from '../formats/ppm';
import { type Difference, info, type QARepVGGBlock, type Tensor, type TensorLike, verifyEquivalence } from '../index';
import { compareOutputs } from '../verify';
import { median } from './numbers';
import { buildStack, deployStack, runStack } from './stack';
import { formatTable } from './table';

/** Largest relative L2 difference of the two forms of a block. Rounding gives some 1e-7; a mistake gives 1e-2. */
const tolerance = 1e-5;

const photographs = ['cat', 'coffee', 'retina', 'rocket'].map((name) =>
  path.join(__dirname, '../../examples/images', `${name}.ppm`),
);

/** One block, or the whole stack. Times are medians in milliseconds. */
interface Row extends Difference {
  readonly outputDims: number[];
  readonly trainTime: number;
  readonly deployTime: number;
}

/** The `demo` command. Whether the two forms agree. */
export async function demo(files: readonly string[], { runs = 15, json = false }): Promise<boolean> {
  const images = batch((files.length > 0 ? files : photographs).map((file) => readPpm(readFileSync(file), file)));
  const train = buildStack(images);
  const deploy = deployStack(train);
  const { rows, whole } = measure(train, deploy, images, runs);
  const passed = [...rows, whole].every((row) => row.relativeL2 <= tolerance);
  if (json) {
    const result = { ...info(), inputDims: images.dims, runs, tolerance, passed, blocks: rows, whole };
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  } else {
    print(rows, whole, images, runs, passed);
  }
  return passed;
}

/** Images of the same size as one tensor; pixels from 0 to 1 become about -2 to 2. */
function batch(images: readonly Tensor[]): Tensor {
  const [first] = images as [Tensor];
  const odd = images.findIndex(({ dims }) => dims.join() !== first.dims.join());
  if (odd !== -1) {
    const size = (image: Tensor | undefined): string => `${image?.dims[3]} x ${image?.dims[2]}`;
    throw mismatch('ERR_SHAPE', `demo, image ${odd + 1}`, `${size(first)} pixels as the first`, size(images[odd]));
  }
  const data = new Float32Array(images.length * first.data.length);
  images.forEach((image, i) => {
    data.set(image.data, i * first.data.length);
  });
  return { data: data.map((value) => (value - 0.5) * 4), dims: [images.length, ...first.dims.slice(1)] };
}

function measure(
  train: readonly QARepVGGBlock[],
  deploy: readonly QARepVGGBlock[],
  images: TensorLike,
  runs: number,
): { rows: Row[]; whole: Row } {
  // Each block is judged on what the one before it really puts out; the comparison also warms both forms.
  let input: TensorLike = images;
  const differences = train.map((block, i) => {
    const { whole } = verifyEquivalence(block, deploy[i] as QARepVGGBlock, { inputs: [input] });
    const output = block.forward(input);
    input = output;
    return { ...whole, outputDims: output.dims };
  });
  const outputs = [runStack(train, images), runStack(deploy, images)] as const;

  // Interleaved, so that a change of the machine's mood meets both forms alike.
  const times = { train: train.map((): number[] => []), deploy: train.map((): number[] => []) };
  for (let run = 0; run < runs; run++) {
    runStack(train, images, (i, time) => times.train[i]?.push(time));
    runStack(deploy, images, (i, time) => times.deploy[i]?.push(time));
  }
  const rows = differences.map((difference, i) => ({
    ...difference,
    name: `block ${i + 1}`,
    trainTime: median(times.train[i] as number[]),
    deployTime: median(times.deploy[i] as number[]),
  }));
  const sum = (series: number[][]): number => median(Array.from({ length: runs }, (_, run) => total(series, run)));
  const whole = {
    ...compareOutputs('all', ...outputs, 'demo'),
    outputDims: outputs[0].dims,
    trainTime: sum(times.train),
    deployTime: sum(times.deploy),
  };
  return { rows, whole };
}

function total(series: number[][], run: number): number {
  return series.reduce((time, block) => time + (block[run] as number), 0);
}

function print(rows: readonly Row[], whole: Row, images: TensorLike, runs: number, passed: boolean): void {
  const { isa, threads } = info();
  const bold = (text: string): string => (process.stdout.isTTY ? styleText('bold', text) : text);
  const [count, , height, width] = images.dims;
  const head = ['', 'output', 'train ms', 'deploy ms', 'speed-up', 'relative L2', 'max difference'];
  const body = [...rows, whole].map((row) => [
    row.name,
    row.outputDims.slice(1).join(' x '),
    row.trainTime.toFixed(2),
    row.deployTime.toFixed(2),
    `${(row.trainTime / row.deployTime).toFixed(2)}x`,
    row.relativeL2.toExponential(1),
    row.maxAbsolute.toExponential(1),
  ]);
  const align = ['left', 'left', 'right', 'right', 'right', 'right', 'right'] as const;
  const [headLine, ...lines] = formatTable([head, ...body], align).split('\n');
  const verdict = passed
    ? `The two forms agree: no block differs by more than ${tolerance} (relative L2).`
    : `The two forms DIFFER by more than ${tolerance} (relative L2).`;
  process.stdout.write(
    [
      `${bold('QARepVGG')}: ${rows.length} blocks, ${count} photographs of ${width} x ${height}, ${isa}, ${threads} threads, median of ${runs} runs`,
      '',
      bold(headLine as string),
      ...lines,
      bold(verdict),
      '',
    ].join('\n'),
  );
}
