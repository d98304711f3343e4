import { boundary, describeList, mismatch, quote } from '../errors';
import { Model } from '../model/model';
import { QuantizedModel } from '../model/quantized-model';
import { layerSlots } from '../nn/blocks/layers';
import { emptyNetwork, type Network, networkCoreOf } from '../nn/networks/network';
import { NetworkBlueprint } from '../nn/networks/network-blueprint';
import { inPlace, type SlotSpec, type StateDict } from '../nn/state/state';
import type { Tensor } from '../tensor';
import type { RawTensor } from './dtypes';
import { checkEnding } from './file-format';
import {
  describeGraph,
  describeNetwork,
  isOurs,
  type NetworkDescription,
  readDescription,
  readGraphBytes,
} from './model-metadata';
import { packModel, unpackModel } from './onnx';
import { assembleQuantized, packQuantized } from './quantized-files';
import { inFloat32, readRawSafetensors, type SafetensorsFile, writeSafetensors } from './safetensors';
import { type FileSource, ownSource, withinFile } from './sources';

/** Tensors whose names begin like this are not part of the network. */
export const extraPrefix = 'training.';

/** What a model file holds besides the network. Names of its tensors begin with {@link extraPrefix}. */
export interface Extras {
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Writes a network, quantised or not, with everything needed to use it again, as a safetensors file: all of it or nothing. The
 * tensors have their names of the layout 'official', and the metadata holds the options of the network, its form, labels and
 * preprocessing. The tensors of a {@link Model} keep their names, and the metadata holds its graph.
 *
 * @throws {QARepVGGError} (rejects) ERR_INVALID_ARG for a path that cannot be written, for a name that ends in .onnx, and for a
 * module that is not a network; ERR_MODEL_INCOMPATIBLE for quantised modules that are not a network; ERR_LIMIT when the disk is
 * full.
 *
 * @example
 * await saveModel(model.eval().switchToDeploy(), 'deploy.safetensors');
 */
export async function saveModel(model: Network | QuantizedModel | Model, path: string | URL): Promise<void> {
  return boundary('saveModel', async () => {
    if (model instanceof Model) {
      checkEnding(path, 'safetensors');
      const { graph, tensors } = await packModel(model);
      return writeSafetensors(path, tensors, describeGraph(graph));
    }
    if (model instanceof QuantizedModel) {
      const { tensors, metadata } = packQuantized(model);
      return writeSafetensors(path, tensors, metadata);
    }
    return saveModelWith(model, { tensors: {}, metadata: {} }, path);
  });
}

/**
 * Reads a model that {@link saveModel} or a training has written, in the form that it had then, and in eval mode. The file
 * decides the kind: a network, a quantised network (`form` is 'int8'), or a {@link Model}. The type parameter says what the
 * caller expects. Bytes are copied before the call returns its promise.
 *
 * @throws {QARepVGGError} (rejects) ERR_MODEL_FORMAT for a file that is damaged or of another kind; ERR_QUANT_PARAM naming a
 * layer whose scales are invalid or whose sums could exceed 32 bits; ERR_INVALID_ARG for a path that cannot be read; ERR_BUFFER_*
 * for bytes; ERR_LIMIT, ERR_OUT_OF_MEMORY.
 *
 * @example
 * const model = await loadModel<Network>('model.safetensors');
 * console.log(model.options.labels, model.form);
 * const small = await loadModel<QuantizedModel>('int8.safetensors');
 */
export async function loadModel<M extends Network | QuantizedModel | Model = Network | QuantizedModel>(
  source: FileSource,
): Promise<M> {
  return boundary('loadModel', async () => (await readModel(ownSource(source))) as M);
}

/** Same as {@link loadModel}, without expecting a kind. */
export async function readModel(path: FileSource): Promise<Network | QuantizedModel | Model> {
  return withinFile(path, async () => {
    const file = await readRawFile(path);
    const graph = readGraphBytes(file.metadata);
    if (graph) return unpackModel({ graph, tensors: file.tensors });
    const description = readDescription(file.metadata);
    if (description.form === 'int8') return assembleQuantized(description.options, file.metadata, file.tensors);
    const { tensors } = await inFloat32(file);
    return assembleNetwork(description as NetworkDescription, tensors).model;
  });
}

async function readRawFile(path: FileSource): Promise<SafetensorsFile<RawTensor>> {
  const file = await readRawSafetensors(path);
  const [odd] = Object.keys(file.unread);
  if (odd === undefined || !isOurs(file.metadata)) return file;
  throw mismatch('ERR_MODEL_FORMAT', 'the tensors that the metadata name', `also ${quote(odd)}`);
}

/** Same as {@link saveModel}, with extras in the file. */
export async function saveModelWith(model: Network, extras: Extras, path: string | URL): Promise<void> {
  const { blueprint, form, definition } = networkCoreOf(model);
  const { store } = definition;
  store.checkAttached();
  const own = store.slots.map(({ name, dims }) => [name, { data: store.view(name), dims }] as const);
  const tensors = { ...Object.fromEntries(own), ...extras.tensors };
  await writeSafetensors(path, tensors, { ...describeNetwork(blueprint.options, form), ...extras.metadata });
}

/** Same as {@link loadModel}, with the extras in the file; not for quantised networks. */
export async function loadModelWith(path: FileSource): Promise<{ model: Network; extras: Extras }> {
  return withinFile(path, async () => {
    const file = await readRawFile(path);
    const description = readDescription(file.metadata);
    if (description.form === 'int8') {
      throw mismatch('ERR_MODEL_FORMAT', 'form', 'train, partial or deploy', '"int8", a quantised network');
    }
    const { tensors, metadata } = await inFloat32(file);
    const { model, others } = assembleNetwork(description as NetworkDescription, tensors);
    return { model, extras: { tensors: others, metadata } };
  });
}

/**
 * Makes a network from the content of a file. `others` are tensors that are not part of it.
 *
 * @throws {QARepVGGError} ERR_MODEL_FORMAT
 */
export function assembleNetwork(
  { options, form }: NetworkDescription,
  tensors: Readonly<StateDict>,
): { model: Network; others: StateDict } {
  const slots = layerSlots(new NetworkBlueprint(options).layers(form));
  const others = checkTensors(slots, tensors);
  const values = inPlace(slots, tensors);
  const model = emptyNetwork(options, form, values).eval();
  if (!values) {
    const { store } = networkCoreOf(model).definition;
    for (const { name } of slots) store.view(name).set((tensors[name] as Tensor).data);
  }
  return { model, others };
}

/** Checks the tensors, before memory for the network is taken, and returns those that are not part of it. */
function checkTensors(slots: readonly SlotSpec[], tensors: Readonly<StateDict>): StateDict {
  const others = { ...tensors };
  for (const { name, dims } of slots) {
    const received = tensors[name]?.dims;
    if (received?.length !== dims.length || !dims.every((dim, i) => dim === received[i])) {
      const expected = `tensor ${quote(name)} of dims ${describeList(dims)}, as the metadata say`;
      throw mismatch('ERR_MODEL_FORMAT', expected, received ? describeList(received) : 'none');
    }
    delete others[name];
  }
  const odd = Object.keys(others).find((name) => !name.startsWith(extraPrefix));
  if (odd === undefined) return others;
  throw mismatch('ERR_MODEL_FORMAT', `the ${slots.length} tensors that the metadata name`, `also ${quote(odd)}`);
}
