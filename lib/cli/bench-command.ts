import type { Command } from 'commander';
import type { InputSize } from '../image-size';
import type { Algorithm } from '../runtime/options';
import { dimsFlag } from './dims';
import { choice, imageSize, positiveInteger } from './flags';

export interface BenchFlags {
  readonly batch: number;
  readonly seconds: number;
  readonly algorithm: Algorithm;
  readonly threads?: number;
  readonly size?: InputSize;
  readonly dims?: readonly string[];
  readonly json?: true;
}

export function addBenchCommand(program: Command): void {
  program
    .command('bench')
    .summary('Time a model on random images.')
    .description('Time a model on random images: latency, images/s, GFLOP/s. One in train form is fused in memory.')
    .argument('<model>', 'model file, safetensors or ONNX; - is standard input')
    .option('--batch <n>', 'images per run', positiveInteger, 1)
    .option('--threads <n>', 'threads (default: all)', positiveInteger)
    .option('--size <size>', "side of the images in pixels, or HEIGHTxWIDTH (default: the model's)", imageSize)
    .option('--dims <dims>', 'dims of an input of an ONNX file: 1x3x640x640, or name=1x3x640x640', dimsFlag)
    .option('--seconds <n>', 'duration of the measurement', positiveInteger, 3)
    .addOption(
      choice('--algorithm <name>', 'algorithm of the convolutions', ['auto', 'gemm', 'winograd']).default('auto'),
    )
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ qarepvgg bench model.onnx --batch 8 --threads 1\n  $ qarepvgg bench yolov6n.onnx --dims 1x3x640x640',
    )
    .action(async (model: string, flags: BenchFlags) => {
      const { bench } = await import('./bench.js');
      await bench(model, flags);
    });
}
