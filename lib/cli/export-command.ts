import type { Command } from 'commander';

export function addExportCommand(program: Command): void {
  program
    .command('export')
    .summary('Write a model as an ONNX file.')
    .description(
      'Write a model as an ONNX file (opset 13, images of any number and size). One in train form is fused in memory. An ONNX file ' +
        'of other origin is written as ONNX again, or as a safetensors file.',
    )
    .argument('<model>', 'model file; - is standard input')
    .argument('<file>', 'file to write: .onnx, or for a model of other origin also .safetensors')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ qarepvgg export deploy.safetensors model.onnx\n  $ qarepvgg export theirs.onnx model.safetensors',
    )
    .action(async (model: string, file: string, flags: { json?: true }) => {
      const { exportModel } = await import('./export.js');
      await exportModel(model, file, flags);
    });
}
