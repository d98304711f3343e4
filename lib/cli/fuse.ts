import { stat } from 'node:fs/promises';
import { saveModel } from '../index';
import type { FuseFlags } from './fuse-command';
import { openNetwork } from './network-file';

/** The `fuse` command. */
export async function fuseFile(from: string, to: string, flags: FuseFlags): Promise<void> {
  const model = await openNetwork(from, flags);
  const start = performance.now();
  model.switchToDeploy({ keepPostBn: flags.keepPostBn ?? false });
  const milliseconds = performance.now() - start;
  await saveModel(model, to);
  const { size } = await stat(to);
  const { parameters, deployParameters, layers } = model.summary();
  if (flags.json) {
    const { architecture, variant } = model.options;
    const result = {
      from,
      to,
      bytes: size,
      architecture,
      variant,
      form: model.form,
      milliseconds,
      parameters,
      deployParameters,
    };
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    return;
  }
  const blocks = `${layers.length - 1} blocks in ${milliseconds.toFixed(0)} ms`;
  const sizes = model.form === 'deploy' ? `, ${count(parameters)} -> ${count(deployParameters)} parameters` : '';
  process.stdout.write(`${model}: ${blocks}${sizes}\n${to}: ${bytes(size)}\n`);
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}

function bytes(size: number): string {
  return size < 2 ** 20 ? `${(size / 2 ** 10).toFixed(1)} KiB` : `${(size / 2 ** 20).toFixed(1)} MiB`;
}
