import type { Command } from 'commander';

export function addExportCommand(program: Command): void {
  program
    .command('export')
    .description('Write a model in deploy form, or a quantised one, as an ONNX file (opset 13, any number of images).')
    .argument('<model>', 'model file in deploy form or quantised')
    .argument('<file>', 'ONNX file to write')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExample:\n  $ qarepvgg export deploy.safetensors model.onnx')
    .action(async (model: string, file: string, flags: { json?: true }) => {
      const { exportModel } = await import('./export.js');
      await exportModel(model, file, flags);
    });
}
