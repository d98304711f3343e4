import { describeList, mismatch, QARepVGGError, quote } from '../../errors';
import { info } from '../../info';
import { QuantizedModel } from '../../integer/quantized-model';
import { coreOf, type ModuleCore } from '../../nn/core';
import type { Module } from '../../nn/module';
import type { Network } from '../../nn/network';
import { NetworkBlueprint } from '../../nn/network-blueprint';
import type { CheckedNetworkOptions } from '../../nn/network-options';
import { RepCore } from '../../nn/rep-core';
import type { Tensor } from '../../tensor';
import { arrayOf, bytesPerElement, type RawTensor, rawTensor } from '../dtypes';
import { assembleNetwork } from '../model-files';
import { describeNetwork, type Metadata, readDescription } from '../model-metadata';
import { buildQuantized, describeQuantized, TensorSource } from '../quantized-files';
import { onnxGraph } from './graph';
import { dataTypes, outputLayer, parameterNames, quantizedGraph } from './quantized-graph';
import { type Graph, graph as graphFields, type ModelFile, modelFields } from './schema';
import { decode, encode } from './wire';

/** Read by everything since 2021, and the first that quantises per channel. Its files are of version 7. */
const opset = 13;
const irVersion = 7;

/** Protocol buffers end at 2 GiB; the rest of the file is far smaller than what is left. */
const maxTensorBytes = 2 ** 31 - 2 ** 24;

/** Keys of metadata are in a space of their own: other tools add theirs. */
const metadataPrefix = 'qarepvgg.';

/** As `importOnnx`, from bytes. */
export function parseOnnx<M extends Network | QuantizedModel = Network>(bytes: Uint8Array, where = 'parseOnnx'): M {
  return parseModel(bytes, where) as M;
}

function parseModel(bytes: Uint8Array, where: string): Network | QuantizedModel {
  const file = decodeFile(bytes, where);
  const metadata = readMetadata(file, where);
  const { options, form } = readDescription(metadata, where);
  const tensors = readTensors(file, where);
  if (form === 'int8') return parseQuantized(file, options, metadata, tensors, where);
  const odd = Object.entries(tensors).find(([, { dtype }]) => dtype !== 'F32');
  if (odd) {
    const [name, { dtype }] = odd;
    throw mismatch('ERR_MODEL_FORMAT', `${where}, tensor ${quote(name)}`, 'floats of 32 bits', dtype);
  }
  const { model } = assembleNetwork({ options, form }, tensors as Record<string, Tensor & RawTensor>, where);
  if (!sameGraph(file.graph, graphOf(coreOf(model, where), where))) {
    throw mismatch('ERR_MODEL_FORMAT', where, 'the graph that exportOnnx has written', 'another one');
  }
  return model;
}

/** Scales and zeros that follow from others are in the graph, too: so all of it must be as it would be written. */
function parseQuantized(
  file: ModelFile,
  options: CheckedNetworkOptions,
  metadata: Metadata,
  tensors: Readonly<Record<string, RawTensor>>,
  where: string,
): QuantizedModel {
  const source = new TensorSource(tensors, where);
  const readEach = (takers: readonly (string | undefined)[]) => (index: number) => {
    const [scale, zeroPoint] = parameterNames(takers[index] ?? outputLayer);
    return {
      scale: source.take(scale, 'F32', [])[0] as number,
      zeroPoint: source.take(zeroPoint, 'U8', [])[0] as number,
    };
  };
  const model = buildQuantized(options, metadata, source, readEach, where);
  if (file.graph && Buffer.compare(encode(graphFields, file.graph), encode(graphFields, quantizedGraph(model))) === 0) {
    return model;
  }
  throw mismatch('ERR_MODEL_FORMAT', where, 'the graph that exportOnnx has written', 'another one');
}

/** As `exportOnnx`, to bytes: the same for the same model. */
export function serializeOnnx(model: Module | QuantizedModel, where = 'serializeOnnx'): Uint8Array {
  if (model instanceof QuantizedModel) {
    const metadata = model.isNetwork ? describeQuantized(model, where) : {};
    return encodeFile(quantizedGraph(model), metadata, model.summary().bytes, where);
  }
  const core = coreOf(model, where);
  const { store } = core.definition;
  store.checkAttached(where);
  return encodeFile(graphOf(core, where), metadataOf(core), store.values.byteLength, where);
}

function encodeFile(graph: Graph, metadata: Metadata, tensorBytes: number, where: string): Uint8Array {
  if (tensorBytes > maxTensorBytes) {
    throw mismatch('ERR_LIMIT', where, `at most ${maxTensorBytes} bytes of tensors`, `${tensorBytes}`);
  }
  const file = {
    irVersion,
    producerName: 'qarepvgg',
    producerVersion: info().version,
    graph,
    opsets: [{ domain: '', version: opset }],
    metadata: Object.entries(metadata).map(([key, value]) => ({ key: metadataPrefix + key, value })),
  };
  try {
    return encode(modelFields, file);
  } catch (error) {
    const message = `${where}: expected memory for ${tensorBytes} bytes and some copies, received none`;
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
function readTensors({ graph }: ModelFile, where: string): Record<string, RawTensor> {
  const tensors = Object.create(null) as Record<string, RawTensor>;
  for (const { name = '', dims, dataType, rawData } of graph?.initializers ?? []) {
    const place = `${where}, tensor ${quote(name)}`;
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

/** Whether two graphs are alike but for the numbers in their tensors. */
function sameGraph(a: Graph | undefined, b: Graph): boolean {
  const skeleton = (graph: Graph): Uint8Array => {
    const initializers = (graph.initializers ?? []).map(({ name, dims, dataType }) => ({ name, dims, dataType }));
    return encode(graphFields, { ...graph, initializers });
  };
  return a !== undefined && Buffer.compare(skeleton(a), skeleton(b)) === 0;
}
