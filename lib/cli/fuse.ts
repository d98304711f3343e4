import { stat } from 'node:fs/promises';
import { mismatch } from '../errors';
import { placeOf } from '../formats/files';
import { type Network, saveModel } from '../index';
import { checkSane } from '../nn/fuse';
import { networkCoreOf } from '../nn/network';
import type { FuseFlags } from './fuse-command';
import { openNetwork } from './network-file';
import { checkOutputs } from './outputs';

/** The `fuse` command. */
export async function fuseFile(from: string, to: string, flags: FuseFlags): Promise<void> {
  await checkOutputs('fuse', [{ name: '<to>', file: to, format: 'safetensors' }], [from]);
  const model = await openNetwork(from, flags, 'fuse');
  const fromForm = model.form;
  // Tensors of other projects become a model file, whatever their form.
  if (flags.model === undefined) checkForm(model, flags, placeOf(from, 'fuse'));
  // Also of what is left as it is: a model with NaN in it is of no use to anyone.
  const { store } = networkCoreOf(model, 'fuse').definition;
  checkSane(store.slots, store, placeOf(from, 'fuse'));
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
      fromForm,
      form: model.form,
      milliseconds,
      parameters,
      deployParameters,
    };
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    return;
  }
  if (fromForm === model.form) {
    process.stdout.write(`${model}: nothing was left to fuse\n${to}: ${bytes(size)}\n`);
    return;
  }
  const blocks = `${layers.length - 1} blocks in ${milliseconds.toFixed(0)} ms`;
  const sizes = model.form === 'deploy' ? `, ${count(parameters)} -> ${count(deployParameters)} parameters` : '';
  process.stdout.write(`${model}: ${blocks}${sizes}\n${to}: ${bytes(size)}\n`);
}

/** @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE when nothing is left to do. */
function checkForm({ form }: Network, { keepPostBn }: FuseFlags, where: string): void {
  if (form === 'deploy') {
    const received = 'one in deploy form: it is fused already, use it as it is';
    throw mismatch('ERR_MODEL_INCOMPATIBLE', where, 'a model in train or partial form', received);
  }
  if (form === 'partial' && keepPostBn) {
    const received = 'one in partial form already; leave out --keep-post-bn to go on to the deploy form';
    throw mismatch('ERR_MODEL_INCOMPATIBLE', where, 'a model in train form', received);
  }
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}

function bytes(size: number): string {
  return size < 2 ** 20 ? `${(size / 2 ** 10).toFixed(1)} KiB` : `${(size / 2 ** 20).toFixed(1)} MiB`;
}
