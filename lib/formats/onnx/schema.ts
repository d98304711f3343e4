/**
 * The messages of onnx.proto (https://github.com/onnx/onnx) that are written and read here; fields in the order of their
 * numbers, which is the order in which they are written.
 */
import { type Draft, type Message, many, one } from './wire';

const dimension = { value: one(1, 'int'), param: one(2, 'string') };

const type = { tensor: one(1, { elementType: one(1, 'int'), shape: one(2, { dims: many(1, dimension) }) }) };

const valueInfo = { name: one(1, 'string'), type: one(2, type) };

const tensor = {
  dims: many(1, 'int'),
  dataType: one(2, 'int'),
  name: one(8, 'string'),
  rawData: one(9, 'bytes'),
};

const attribute = {
  name: one(1, 'string'),
  int: one(3, 'int'),
  ints: many(8, 'int'),
  type: one(20, 'int'),
};

const node = {
  inputs: many(1, 'string'),
  outputs: many(2, 'string'),
  name: one(3, 'string'),
  opType: one(4, 'string'),
  attributes: many(5, attribute),
};

/** GraphProto */
export const graph = {
  nodes: many(1, node),
  name: one(2, 'string'),
  initializers: many(5, tensor),
  inputs: many(11, valueInfo),
  outputs: many(12, valueInfo),
};

/** ModelProto */
export const modelFields = {
  irVersion: one(1, 'int'),
  producerName: one(2, 'string'),
  producerVersion: one(3, 'string'),
  graph: one(7, graph),
  opsets: many(8, { domain: one(1, 'string'), version: one(2, 'int') }),
  metadata: many(14, { key: one(1, 'string'), value: one(2, 'string') }),
};

export type Dimension = Draft<typeof dimension>;
export type ValueInfo = Draft<typeof valueInfo>;
export type Node = Draft<typeof node>;
export type Attribute = Draft<typeof attribute>;
export type Initializer = Draft<typeof tensor>;
export type Graph = Draft<typeof graph>;
export type ModelFile = Message<typeof modelFields>;

/** TensorProto.DataType */
export const float32 = 1;
export const uint8 = 2;
export const int8 = 3;
export const int32 = 6;

/** AttributeProto.AttributeType */
export const attributeTypes = { int: 2, ints: 7 };
