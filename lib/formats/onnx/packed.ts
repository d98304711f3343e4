import { describeList, mismatch, quote } from '../../errors';
import { dataTypeOf, onnxTypeOf } from '../../graph/data-types';
import { type DataType, type GraphTensor, sameDims } from '../../graph/graph';
import type { Model } from '../../model/model';
import { inSlices } from '../../slices';
import { type Dtype, type RawTensor, rawTensor } from '../dtypes';
import { modelOf } from './document';
import { decodeFile, encodeFile } from './file';
import { writtenGraph } from './model-graph';
import type { TensorFields } from './schema';
import { describeTraits } from './traits';

/** ONNX's mark of a tensor whose numbers are in another file. */
const external = 1;

const dtypes: Readonly<Record<DataType, Dtype>> = {
  float32: 'F32',
  uint8: 'U8',
  int8: 'I8',
  int32: 'I32',
  int64: 'I64',
  bool: 'BOOL',
};

/** A model in two parts: the bytes of an ONNX file without the numbers of its tensors, and the tensors. */
export interface PackedModel {
  readonly graph: Uint8Array;
  readonly tensors: Readonly<Record<string, RawTensor>>;
}

export function packModel(model: Model): PackedModel {
  const place = (name: string, { dims, type }: GraphTensor) => ({
    name,
    dims,
    dataType: onnxTypeOf(type),
    location: external,
  });
  const { graph, opset, tensors } = writtenGraph(model.graph, place);
  const raw = [...tensors].map(
    ([name, { type, dims, data }]) => [name, rawTensor(dtypes[type], data, [...dims])] as const,
  );
  return { graph: encodeFile(graph, opset, () => describeTraits(model), 0), tensors: Object.fromEntries(raw) };
}

/** @throws {QARepVGGError} ERR_MODEL_FORMAT if the parts do not fit; the errors of `importOnnx` for the graph. */
export async function unpackModel({ graph, tensors }: PackedModel): Promise<Model> {
  const read = new Set<string>();
  const bytes = ({ name = '', dims, dataType = 0 }: TensorFields): Uint8Array => {
    const found = Object.hasOwn(tensors, name) ? tensors[name] : undefined;
    const type = dataTypeOf(dataType);
    if (found && type && dtypes[type] === found.dtype && sameDims(dims, found.dims)) {
      read.add(name);
      return new Uint8Array(found.data.buffer, found.data.byteOffset, found.data.byteLength);
    }
    const expected = `tensor ${quote(name)} of ${type ? dtypes[type] : `type ${dataType}`} and dims ${describeList(dims)}`;
    const received = found ? `${found.dtype}, ${describeList(found.dims)}` : 'none';
    throw mismatch('ERR_MODEL_FORMAT', `${expected}, as the graph says`, received);
  };
  const model = await modelOf(await inSlices(decodeFile(graph)), bytes);
  const odd = Object.keys(tensors).find((name) => !read.has(name));
  if (odd === undefined) return model;
  throw mismatch('ERR_MODEL_FORMAT', 'the tensors that the graph names', `also ${quote(odd)}`);
}
