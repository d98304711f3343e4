import { describeList, mismatch, quote } from '../../errors';
import { onnxTypeOf } from '../../graph/data-types';
import { foldConstants } from '../../graph/fold-constants';
import type { GraphTensor, Graph as ModelGraph } from '../../graph/graph';
import { quantizedForm } from '../../graph/quantized-form';
import { bytesOf } from '../../graph/tensors';
import { Model } from '../../model/model';
import { networkGraph } from '../../model/quantized-graph';
import { QuantizedModel } from '../../model/quantized-model';
import { coreOf } from '../../nn/core';
import { inputName } from '../../nn/graph';
import type { Module } from '../../nn/module';
import type { Network } from '../../nn/networks/network';
import { NetworkBlueprint } from '../../nn/networks/network-blueprint';
import type { CheckedNetworkOptions } from '../../nn/networks/network-options';
import { RepCore } from '../../nn/rep-core';
import { atOnce, inSlices, type Steps } from '../../slices';
import type { Tensor } from '../../tensor';
import { arrayOf, bytesPerElement, type Dtype, type RawTensor, rawTensor } from '../dtypes';
import { assembleNetwork } from '../model-files';
import { describeNetwork, type Metadata, readDescription } from '../model-metadata';
import { buildQuantized, describeQuantized, TensorSource } from '../quantized-files';
import { checkSum, withSum } from './checksum';
import { decodeFile, encodeFile } from './file';
import { tensorBytes, valueInfo, type WrittenGraph, writtenGraph } from './model-graph';
import { readExternal } from './reader/external';
import { checkedGraph, readGraph } from './reader/graph';
import { settleFloats } from './reader/settle';
import type { ExternalBytes } from './reader/tensors';
import {
  float32,
  type Graph,
  graph as graphFields,
  type Initializer,
  int8,
  int32,
  type ModelDraft,
  type ModelFile,
  uint8,
} from './schema';
import { describeTraits, isTrait, readTraits } from './traits';
import { encode } from './wire';

/** Every runtime since 2021 reads it, and it is the first opset that quantises per channel. */
const opset = 13;

/** Element types of the tensors of networks of this package. */
const dataTypes = { F32: float32, U8: uint8, I8: int8, I32: int32 } satisfies Partial<Record<Dtype, number>>;

/** Keys of this package's metadata have this prefix, because other tools add keys, too. */
const metadataPrefix = 'qarepvgg.';

/** Same as `importOnnx`, from bytes. */
export function parseOnnx<M extends Network | QuantizedModel = Network>(bytes: Uint8Array): M {
  return atOnce(parseOwn(atOnce(decodeFile(bytes)))) as M;
}

/**
 * Same as `importOnnx`, for a file of any origin, from its bytes.
 *
 * @param bytes Must not be shared: tensors are moved within them.
 * @param folder The folder of the file, for tensors in files of their own.
 */
export async function importModel(
  bytes: Uint8Array,
  folder: string | undefined,
): Promise<Network | QuantizedModel | Model> {
  const file = await inSlices(decodeFile(bytes));
  if (isOwn(file)) return inSlices(parseOwn(file));
  const external = await readExternal(file, folder);
  if (!file.graph) return modelOf(file, external);
  const { graph, finite } = settleFloats(file.graph);
  return modelOf({ ...file, graph }, external, finite);
}

/**
 * A model of other origin.
 *
 * @param finite Names of tensors that are known to be finite. Until it resolves, the numbers of tensors may not be in place.
 */
export async function modelOf(
  file: ModelFile,
  external: ExternalBytes,
  finite: Promise<ReadonlySet<string>> = Promise.resolve(new Set<string>()),
): Promise<Model> {
  const metadata = new Map(file.metadata.map(({ key = '', value = '' }) => [key, value]));
  const [draft, known] = await Promise.all([inSlices(readGraph(file, external)), finite]);
  const graph = quantizedForm(await foldConstants(await inSlices(checkedGraph(draft, known))));
  return new Model(graph, readTraits(metadata));
}

/** Whether `exportOnnx` has written this from a network; the file of a block or convolution does not say so. */
function isOwn({ metadata }: ModelFile): boolean {
  return metadata.some(({ key }) => key?.startsWith(metadataPrefix) && !isTrait(key));
}

function* parseOwn(file: ModelFile): Steps<Network | QuantizedModel> {
  checkOpset(file);
  const metadata = yield* checkSum(readMetadata(file), file);
  const { options, form } = readDescription(metadata);
  const tensors = readTensors(file);
  if (form === 'int8') return parseQuantized(file, options, metadata, tensors);
  const odd = Object.entries(tensors).find(([, { dtype }]) => dtype !== 'F32');
  if (odd) {
    const [name, { dtype }] = odd;
    throw mismatch('ERR_MODEL_FORMAT', `tensor ${quote(name)}`, 'floats of 32 bits', dtype);
  }
  const { model } = assembleNetwork({ options, form }, tensors as Record<string, Tensor & RawTensor>);
  const written = ownGraph(networkGraph(model));
  checkGraph(withoutNumbers(file.graph), withoutNumbers(written.graph));
  return model;
}

/** The graph repeats scales and zero points, so it must equal the graph that would be written. */
function parseQuantized(
  file: ModelFile,
  options: CheckedNetworkOptions,
  metadata: Metadata,
  tensors: Readonly<Record<string, RawTensor>>,
): QuantizedModel {
  const model = buildQuantized(options, metadata, new TensorSource(tensors), false);
  checkGraph(file.graph, ownGraph(networkGraph(model)).graph);
  return model;
}

/** Same as `exportOnnx`, but returns bytes: the same for the same model. */
export function serializeOnnx(model: Module | QuantizedModel | Model): Uint8Array {
  if (model instanceof Model) {
    const { graph, opset, tensors } = writtenGraph(model.graph, withNumbers);
    return encodeFile(graph, opset, () => describeTraits(model), tensorBytes(tensors));
  }
  const { graph, tensors } = ownGraph(networkGraph(model));
  const metadata = metadataOf(model);
  return encodeFile(graph, opset, (file) => prefixed(metadata, file), tensorBytes(tensors));
}

/** The graph of a network of this package in the form of files. */
function ownGraph(graph: ModelGraph): WrittenGraph {
  const written = writtenGraph(graph, withNumbers);
  return { ...written, graph: { ...written.graph, name: 'qarepvgg' } };
}

function withNumbers(name: string, tensor: GraphTensor): Initializer {
  return { name, dims: tensor.dims, dataType: onnxTypeOf(tensor.type), rawData: bytesOf(tensor) };
}

/** Only a network has metadata. */
function prefixed(metadata: Metadata, file: ModelDraft): Metadata {
  if (Object.keys(metadata).length === 0) return metadata;
  return Object.fromEntries(
    Object.entries(withSum(metadata, file)).map(([key, value]) => [metadataPrefix + key, value]),
  );
}

function metadataOf(model: Module | QuantizedModel): Metadata {
  if (model instanceof QuantizedModel) return model.isNetwork ? describeQuantized(model) : {};
  const core = coreOf(model);
  const isNetwork = core instanceof RepCore && core.blueprint instanceof NetworkBlueprint;
  return isNetwork ? describeNetwork(core.blueprint.options, core.form) : {};
}

function checkOpset({ opsets }: ModelFile): void {
  const [first, ...others] = opsets;
  if (others.length === 0 && first?.version === opset && !first.domain) return;
  const received = opsets.length === 0 ? 'none' : opsets.map(({ version }) => `${version}`).join(', ');
  throw mismatch('ERR_MODEL_FORMAT', `an ONNX file of opset ${opset}`, received);
}

function readMetadata({ metadata }: ModelFile): Record<string, string> {
  const own = metadata.filter(({ key }) => key?.startsWith(metadataPrefix));
  if (own.length === 0) {
    throw mismatch('ERR_MODEL_FORMAT', 'a network written by exportOnnx', 'another ONNX file');
  }
  return Object.fromEntries(own.map(({ key = '', value = '' }) => [key.slice(metadataPrefix.length), value]));
}

/** No prototype: any name is safe as a key. */
function readTensors({ graph }: ModelFile): Record<string, RawTensor> {
  const tensors = Object.create(null) as Record<string, RawTensor>;
  for (const { name = '', dims, dataType, rawData } of graph?.initializers ?? []) {
    const place = `tensor ${quote(name)}`;
    const dtype = (Object.keys(dataTypes) as (keyof typeof dataTypes)[]).find((key) => dataTypes[key] === dataType);
    if (dtype === undefined) {
      throw mismatch('ERR_MODEL_FORMAT', place, Object.keys(dataTypes).join(', '), `type ${dataType}`);
    }
    const bytes = dims.reduce((product, dim) => product * dim, bytesPerElement(dtype));
    if (rawData?.length !== bytes) {
      const expected = `${bytes} bytes for dims ${describeList(dims)}`;
      throw mismatch('ERR_MODEL_FORMAT', place, expected, `${rawData?.length ?? 'none'}`);
    }
    tensors[name] = rawTensor(dtype, arrayOf(dtype, rawData), [...dims]);
  }
  return tensors;
}

function withoutNumbers(graph: Graph | undefined): Graph | undefined {
  const initializers = (graph?.initializers ?? []).map(({ name, dims, dataType }) => ({ name, dims, dataType }));
  return graph && { ...graph, initializers };
}

/** @throws {QARepVGGError} ERR_MODEL_FORMAT for a graph that another tool has changed. */
function checkGraph(given: Graph | undefined, written: Graph | undefined): void {
  const [a, b] = [given, written].map((graph) => graph && encode(graphFields, plainGraph(graph)));
  if (a && b && Buffer.compare(a, b) === 0) return;
  throw mismatch('ERR_MODEL_FORMAT', 'the graph that exportOnnx has written', 'a changed one');
}

/** Attributes with default values that files of earlier versions state. */
const implied: Readonly<Record<string, string>> = { Conv: 'group', Flatten: 'axis' };

/** Drops these attributes, so that files of earlier versions compare equal. */
function plainGraph(graph: Graph): Graph {
  const nodes = (graph.nodes ?? []).map((node) => {
    const said = (node.attributes ?? []).filter(({ name, int }) => name !== implied[node.opType ?? ''] || int !== 1);
    return { ...node, attributes: said.sort((a, b) => ((a.name ?? '') < (b.name ?? '') ? -1 : 1)) };
  });
  return withOpenSize({ ...graph, nodes });
}

/** Files of version 0.1 fix the size of the images. Nothing that is computed depends on it. */
function withOpenSize(graph: Graph): Graph {
  const [input, ...others] = graph.inputs ?? [];
  const [batch, channels, height, width] = input?.type?.tensor?.shape?.dims ?? [];
  if (others.length > 0 || batch?.param !== 'N' || !height?.value || !width?.value) return graph;
  const dims = ['N', channels?.value ?? 0, 'H', 'W'];
  return { ...graph, inputs: [valueInfo(inputName, { type: 'float32', dims })] };
}
