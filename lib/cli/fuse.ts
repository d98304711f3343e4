import { stat } from 'node:fs/promises';
import { mismatch, placed, type QARepVGGError, within } from '../errors';
import { bytesText } from '../figures';
import { placeOfSource } from '../formats/sources';
import { type Network, saveModel } from '../index';
import { checkSane } from '../nn/blocks/fuse';
import { networkCoreOf } from '../nn/networks/network';
import { describeAnew, descriptionOf } from './description';
import type { FuseFlags } from './fuse-command';
import { filesOf, formatIn, inputFile } from './input';
import { openNetwork } from './network-file';
import { checkOutputs } from './outputs';
import { choiceText } from './tensor-choice';

/** The `fuse` command. */
export async function fuseFile(from: string, to: string, flags: FuseFlags): Promise<void> {
  await checkOutputs([{ name: '<to>', file: to, format: 'safetensors' }], filesOf(from, flags.labels));
  const source = await inputFile(from);
  const place = placeOfSource(source);
  if ((await formatIn(source)) === 'ONNX') throw placed(place, fusedAlready());
  const { network, choice } = await openNetwork(source, flags);
  const model = describeAnew(network, await descriptionOf(flags));
  const fromForm = model.form;
  // Tensors of other projects become a model file, whatever their form.
  if (flags.model === undefined) within(place, () => checkForm(model, flags));
  // Also check what stays as it is: a model with NaN in it is useless.
  const { store } = networkCoreOf(model).definition;
  within(place, () => checkSane(store.slots, store));
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
      ...(choice && { tensors: choice }),
    };
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    return;
  }
  process.stdout.write(choiceText(choice));
  if (fromForm === model.form) {
    process.stdout.write(`${model}: nothing was left to fuse\n${to}: ${bytesText(size)}\n`);
    return;
  }
  const blocks = `${layers.length - 1} blocks in ${milliseconds.toFixed(0)} ms`;
  const sizes = model.form === 'deploy' ? `, ${count(parameters)} -> ${count(deployParameters)} parameters` : '';
  process.stdout.write(`${model}: ${blocks}${sizes}\n${to}: ${bytesText(size)}\n`);
}

/** @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE when nothing is left to do. */
function checkForm({ form }: Network, { keepPostBn }: FuseFlags): void {
  if (form === 'deploy') throw fusedAlready();
  if (form === 'partial' && keepPostBn) {
    const received = 'one in partial form already; leave out --keep-post-bn to fuse it to the deploy form';
    throw mismatch('ERR_MODEL_INCOMPATIBLE', 'a model in train form', received);
  }
}

function fusedAlready(): QARepVGGError {
  const received = 'one in deploy form, which is fused already; use it as it is';
  return mismatch('ERR_MODEL_INCOMPATIBLE', 'a model in train or partial form', received);
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}
