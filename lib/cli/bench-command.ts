import { type Command, Option } from 'commander';
import type { Algorithm } from '../runtime/options';
import { positiveInteger } from './flags';

export interface BenchFlags {
  readonly batch: number;
  readonly seconds: number;
  readonly algorithm: Algorithm;
  readonly threads?: number;
  readonly size?: number;
  readonly json?: true;
}

export function addBenchCommand(program: Command): void {
  program
    .command('bench')
    .description('Time a model in deploy form, or a quantised one, on random images: latency, images/s, GFLOP/s.')
    .argument('<model>', 'model file in deploy form or quantised, safetensors or ONNX')
    .option('--batch <n>', 'images of a run', positiveInteger, 1)
    .option('--threads <n>', 'threads (default: all)', positiveInteger)
    .option('--size <n>', "side of the images in pixels (default: the model's)", positiveInteger)
    .option('--seconds <n>', 'how long to measure', positiveInteger, 3)
    .addOption(new Option('--algorithm <name>').choices(['auto', 'gemm', 'winograd']).default('auto'))
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExample:\n  $ qarepvgg bench model.onnx --batch 8 --threads 1')
    .action(async (model: string, flags: BenchFlags) => {
      const { bench } = await import('./bench.js');
      await bench(model, flags);
    });
}
