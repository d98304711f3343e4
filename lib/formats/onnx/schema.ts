/**
 * The messages of onnx.proto (https://github.com/onnx/onnx) that this package reads and writes. Fields are in the order of their
 * numbers, in which they are written.
 */
import { type Draft, type Message, many, one } from './wire';

const dimension = { value: one(1, 'int'), param: one(2, 'string') };

/** For other types of values, such as sequences, only their presence is read. */
const type = {
  tensor: one(1, { elementType: one(1, 'int'), shape: one(2, { dims: many(1, dimension) }) }),
  sequence: one(4, 'bytes'),
  map: one(5, 'bytes'),
  sparse: one(8, 'bytes'),
  optional: one(9, 'bytes'),
};

const valueInfo = { name: one(1, 'string'), type: one(2, type) };

/** TensorProto */
export const tensor = {
  dims: many(1, 'int'),
  dataType: one(2, 'int'),
  // Lists of numbers stay encoded.
  floats: one(4, 'bytes'),
  ints: one(5, 'bytes'),
  longs: one(7, 'bytes'),
  name: one(8, 'string'),
  rawData: one(9, 'bytes'),
  doubles: one(10, 'bytes'),
  unsigned: one(11, 'bytes'),
  external: many(13, { key: one(1, 'string'), value: one(2, 'string') }),
  location: one(14, 'int'),
};

const attribute = {
  name: one(1, 'string'),
  float: one(2, 'float'),
  int: one(3, 'long'),
  text: one(4, 'bytes'),
  tensor: one(5, tensor),
  graph: one(6, 'bytes'),
  floats: many(7, 'float'),
  ints: many(8, 'long'),
  texts: many(9, 'bytes'),
  graphs: many(11, 'bytes'),
  type: one(20, 'int'),
  /** In the body of a function: the name of the caller's attribute. */
  reference: one(21, 'string'),
};

const node = {
  inputs: many(1, 'string'),
  outputs: many(2, 'string'),
  name: one(3, 'string'),
  opType: one(4, 'string'),
  attributes: many(5, attribute),
  domain: one(7, 'string'),
};

/** FunctionProto */
const functionFields = {
  name: one(1, 'string'),
  inputs: many(4, 'string'),
  outputs: many(5, 'string'),
  nodes: many(7, node),
  domain: one(10, 'string'),
  /** Attributes that a caller may omit. */
  defaults: many(11, attribute),
};

/** GraphProto */
export const graph = {
  nodes: many(1, node),
  name: one(2, 'string'),
  initializers: many(5, tensor),
  inputs: many(11, valueInfo),
  outputs: many(12, valueInfo),
  values: many(13, valueInfo),
  sparse: many(15, 'bytes'),
};

/** ModelProto */
export const modelFields = {
  irVersion: one(1, 'int'),
  producerName: one(2, 'string'),
  producerVersion: one(3, 'string'),
  graph: one(7, graph),
  opsets: many(8, { domain: one(1, 'string'), version: one(2, 'int') }),
  metadata: many(14, { key: one(1, 'string'), value: one(2, 'string') }),
  functions: many(25, functionFields),
};

export type ValueInfo = Draft<typeof valueInfo>;
export type Node = Draft<typeof node>;
export type Attribute = Draft<typeof attribute>;
export type Initializer = Draft<typeof tensor>;
export type TensorFields = Message<typeof tensor>;
export type AttributeFields = Message<typeof attribute>;
export type NodeFields = Message<typeof node>;
export type FunctionFields = Message<typeof functionFields>;
export type ValueFields = Message<typeof valueInfo>;
export type GraphFields = Message<typeof graph>;
export type Graph = Draft<typeof graph>;
export type ModelFile = Message<typeof modelFields>;
export type ModelDraft = Draft<typeof modelFields>;

/** TensorProto.DataType */
export const float32 = 1;
export const uint8 = 2;
export const int8 = 3;
export const int32 = 6;

/** TensorProto.DataLocation: in a file of its own. */
export const externalLocation = 1;

/** AttributeProto.AttributeType */
export const attributeTypes = {
  float: 1,
  int: 2,
  text: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  texts: 8,
  tensors: 9,
  graphs: 10,
};
