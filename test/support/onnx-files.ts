import { within } from '../../lib/errors';
import { importModel } from '../../lib/formats/onnx/document';
import { type Attribute, attributeTypes, modelFields, type Node, type ValueInfo } from '../../lib/formats/onnx/schema';
import { type Draft, encode } from '../../lib/formats/onnx/wire';
import { onnxTypeOf } from '../../lib/graph/data-types';
import type { DataType, Dim, Graph, TensorData } from '../../lib/graph/graph';
import { tensorOf } from '../../lib/graph/tensors';
import type { Model } from '../../lib/model/model';

/** [operator ("domain:operator" for another domain than ONNX's), inputs, outputs, attributes] */
export type NodeSketch = readonly [
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes?: Readonly<Record<string, number | string | readonly number[]>>,
];

export interface ModelSketch {
  readonly inputs?: Readonly<Record<string, readonly Dim[]>>;
  readonly types?: Readonly<Record<string, DataType>>;
  readonly outputs: readonly string[];
  /** Of outputs that the file describes. */
  readonly outputDims?: Readonly<Record<string, readonly Dim[]>>;
  readonly nodes: readonly NodeSketch[];
  /** Floats, unless the list is of bigints. */
  readonly tensors?: Readonly<Record<string, readonly [dims: readonly number[], values: readonly number[] | bigint]>>;
  readonly integers?: Readonly<Record<string, readonly number[]>>;
  /** Of the types that quantised graphs have. */
  readonly bytes?: Readonly<
    Record<string, readonly ['uint8' | 'int8' | 'int32', dims: readonly number[], values: readonly number[]]>
  >;
  readonly opset?: number;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** The bytes of an ONNX file. */
export function onnxFile(sketch: ModelSketch): Uint8Array {
  const { inputs = {}, types = {}, outputs, outputDims = {}, nodes, tensors = {}, integers = {} } = sketch;
  const { opset = 18, metadata = {}, bytes = {} } = sketch;
  return encode(modelFields, {
    irVersion: 8,
    opsets: [{ domain: '', version: opset }],
    metadata: Object.entries(metadata).map(([key, value]) => ({ key, value })),
    graph: {
      name: 'test',
      nodes: nodes.map(node),
      initializers: [
        ...Object.entries(tensors).map(([name, [dims, values]]) =>
          initializer(name, 'float32', dims, tensorOf('float32', dims, values as number[]).data),
        ),
        ...Object.entries(integers).map(([name, values]) =>
          initializer(name, 'int64', [values.length], tensorOf('int64', [values.length], values).data),
        ),
        ...Object.entries(bytes).map(([name, [type, dims, values]]) =>
          initializer(name, type, dims, tensorOf(type, dims, values).data),
        ),
      ],
      inputs: Object.entries(inputs).map(([name, dims]) => valueInfo(name, types[name] ?? 'float32', dims)),
      outputs: outputs.map((name) => {
        const dims = outputDims[name];
        return dims ? valueInfo(name, types[name] ?? 'float32', dims) : { name };
      }),
    },
  });
}

function node([op, inputs, outputs, attributes = {}]: NodeSketch): Node {
  const [opType = '', domain] = op.split(':').reverse();
  const name = outputs[0] as string;
  return {
    opType,
    inputs,
    outputs,
    name,
    attributes: Object.entries(attributes).map(attribute),
    ...(domain && { domain }),
  };
}

/** Numbers with a fraction are floats; so are those of the attributes that ONNX has as floats. */
const floats = ['alpha', 'beta', 'bias', 'epsilon', 'value', 'cubic_coeff_a', 'min', 'max', 'value_float'];

function attribute([name, value]: readonly [string, number | string | readonly number[]]): Attribute {
  if (typeof value === 'string') return { name, text: new TextEncoder().encode(value), type: attributeTypes.text };
  if (typeof value === 'object') return { name, ints: value, type: attributeTypes.ints };
  if (floats.includes(name)) return { name, float: value, type: attributeTypes.float };
  return { name, int: value, type: attributeTypes.int };
}

export function initializer(name: string, type: DataType, dims: readonly number[], data: TensorData) {
  return {
    name,
    dataType: onnxTypeOf(type),
    dims,
    rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  };
}

export function valueInfo(name: string, type: DataType, dims: readonly Dim[]): ValueInfo {
  const shape = { dims: dims.map((dim) => (typeof dim === 'string' ? { param: dim } : { value: dim })) };
  return { name, type: { tensor: { elementType: onnxTypeOf(type), shape } } };
}

/** As `importOnnx` reads it. */
export async function graphOf(sketch: ModelSketch | Draft<typeof modelFields>): Promise<Graph> {
  const bytes = 'outputs' in sketch ? onnxFile(sketch) : encode(modelFields, sketch as Draft<typeof modelFields>);
  return ((await within('test', () => importModel(bytes, undefined))) as Model).graph;
}
