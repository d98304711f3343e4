import { describeList, mismatch, QARepVGGError } from '../../errors';
import { info } from '../../info';
import { coreOf, type ModuleCore } from '../../nn/core';
import type { Module } from '../../nn/module';
import type { Network } from '../../nn/network';
import { NetworkBlueprint } from '../../nn/network-blueprint';
import { RepCore } from '../../nn/rep-core';
import type { StateDict } from '../../nn/state';
import { writeAtomically } from '../atomic';
import { arrayOf } from '../dtypes';
import { placeOf, quote, readWholeFile } from '../files';
import { assembleNetwork } from '../model-files';
import { describeNetwork, readDescription } from '../model-metadata';
import { onnxGraph } from './graph';
import { float32, type Graph, graph as graphFields, type ModelFile, modelFields } from './schema';
import { decode, encode } from './wire';

/** Read by everything since 2021, and the first that quantises per channel. Its files are of version 7. */
const opset = 13;
const irVersion = 7;

/** Protocol buffers end at 2 GiB; the rest of the file is far smaller than what is left. */
const maxTensorBytes = 2 ** 31 - 2 ** 24;

/** Keys of metadata are in a space of their own: other tools add theirs. */
const metadataPrefix = 'qarepvgg.';

/**
 * Writes a model in deploy form as an ONNX file, all of it or nothing: opset 13, input `input` [N, c, h, w] in float32,
 * output `logits`; the number of images is open, and for blocks and convolutions their size. A network takes images of its
 * `inputSize`, with its preprocessing applied; the metadata of the file hold both, and all that {@link importOnnx} needs.
 *
 * @throws {QARepVGGError} (rejects) ERR_MODEL_INCOMPATIBLE for a model that is not in deploy form; ERR_INVALID_ARG for a path
 * that cannot be written; ERR_LIMIT when the disk is full.
 *
 * @example
 * await exportOnnx(model.eval().switchToDeploy(), 'model.onnx');
 */
export async function exportOnnx(model: Module, path: string): Promise<void> {
  const where = 'exportOnnx';
  await writeAtomically(path, serializeOnnx(model, where), where);
}

/**
 * Reads a network that {@link exportOnnx} has written: deploy form, eval mode. A graph that another tool has changed is
 * refused, as it would no longer be what the metadata say.
 *
 * @throws {QARepVGGError} (rejects) ERR_MODEL_FORMAT for a file that is damaged, or of other origin; ERR_INVALID_ARG for a
 * path that cannot be read; ERR_LIMIT, ERR_OUT_OF_MEMORY.
 *
 * @example
 * const model = await importOnnx('model.onnx');
 */
export async function importOnnx(path: string): Promise<Network> {
  const where = 'importOnnx';
  const place = placeOf(path, where);
  return parseOnnx(await readWholeFile(path, where), place);
}

/** As {@link importOnnx}, from bytes. */
export function parseOnnx(bytes: Uint8Array, where = 'parseOnnx'): Network {
  const file = decodeFile(bytes, where);
  const description = readDescription(readMetadata(file, where), where);
  const { model } = assembleNetwork(description, readTensors(file, where), where);
  if (!sameGraph(file.graph, graphOf(coreOf(model, where), where))) {
    throw mismatch('ERR_MODEL_FORMAT', where, 'the graph that exportOnnx has written', 'another one');
  }
  return model;
}

/** As {@link exportOnnx}, to bytes: the same for the same model. */
export function serializeOnnx(model: Module, where = 'serializeOnnx'): Uint8Array {
  const core = coreOf(model, where);
  const { store } = core.definition;
  store.checkAttached(where);
  if (store.values.byteLength > maxTensorBytes) {
    throw mismatch('ERR_LIMIT', where, `at most ${maxTensorBytes} bytes of tensors`, `${store.values.byteLength}`);
  }
  const file = {
    irVersion,
    producerName: 'qarepvgg',
    producerVersion: info().version,
    graph: graphOf(core, where),
    opsets: [{ domain: '', version: opset }],
    metadata: Object.entries(metadataOf(core)).map(([key, value]) => ({ key: metadataPrefix + key, value })),
  };
  try {
    return encode(modelFields, file);
  } catch (error) {
    const message = `${where}: expected memory for ${store.values.byteLength} bytes and some copies, received none`;
    throw new QARepVGGError('ERR_OUT_OF_MEMORY', message, { cause: error });
  }
}

function metadataOf(core: ModuleCore): Readonly<Record<string, string>> {
  const isNetwork = core instanceof RepCore && core.blueprint instanceof NetworkBlueprint;
  return isNetwork ? describeNetwork(core.blueprint.options, core.form) : {};
}

function graphOf({ definition }: ModuleCore, where: string): Graph {
  const { inputSize } = definition;
  return onnxGraph(definition, inputSize === undefined ? undefined : [inputSize, inputSize], where);
}

function decodeFile(bytes: Uint8Array, where: string): ModelFile {
  let file: ModelFile;
  try {
    file = decode(modelFields, bytes);
  } catch (error) {
    const received = `a damaged one: ${(error as Error).message}`;
    throw new QARepVGGError('ERR_MODEL_FORMAT', `${where}: expected an ONNX file, received ${received}`, {
      cause: error,
    });
  }
  const [first, ...others] = file.opsets;
  if (others.length === 0 && first?.version === opset && !first.domain) return file;
  const received = file.opsets.length === 0 ? 'none' : file.opsets.map(({ version }) => `${version}`).join(', ');
  throw mismatch('ERR_MODEL_FORMAT', where, `an ONNX file of opset ${opset}`, received);
}

function readMetadata({ metadata }: ModelFile, where: string): Record<string, string> {
  const own = metadata.filter(({ key }) => key?.startsWith(metadataPrefix));
  if (own.length === 0) {
    throw mismatch('ERR_MODEL_FORMAT', where, 'a network that exportOnnx has written', 'another ONNX file');
  }
  return Object.fromEntries(own.map(({ key = '', value = '' }) => [key.slice(metadataPrefix.length), value]));
}

/** No prototype: any name is safe as a key. */
function readTensors({ graph }: ModelFile, where: string): StateDict {
  const tensors = Object.create(null) as StateDict;
  for (const { name = '', dims, dataType, rawData } of graph?.initializers ?? []) {
    const place = `${where}, tensor ${quote(name)}`;
    if (dataType !== float32) throw mismatch('ERR_MODEL_FORMAT', place, 'floats of 32 bits', `type ${dataType}`);
    const bytes = dims.reduce((product, dim) => product * dim, Float32Array.BYTES_PER_ELEMENT);
    if (rawData?.length !== bytes) {
      const expected = `${bytes} bytes for dims ${describeList(dims)}`;
      throw mismatch('ERR_MODEL_FORMAT', place, expected, `${rawData?.length ?? 'none'}`);
    }
    tensors[name] = { data: arrayOf('F32', rawData) as Float32Array, dims: [...dims] };
  }
  return tensors;
}

/** Whether two graphs are alike but for the numbers in their tensors. */
function sameGraph(a: Graph | undefined, b: Graph): boolean {
  const skeleton = (graph: Graph): Uint8Array => {
    const initializers = (graph.initializers ?? []).map(({ name, dims, dataType }) => ({ name, dims, dataType }));
    return encode(graphFields, { ...graph, initializers });
  };
  return a !== undefined && Buffer.compare(skeleton(a), skeleton(b)) === 0;
}
