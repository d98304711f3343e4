import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readTensor } from '../../dist/formats/onnx/reader/tensors.js';
import { modelFields, tensor as tensorFields } from '../../dist/formats/onnx/schema.js';
import { decode } from '../../dist/formats/onnx/wire.js';
import { atOnce } from '../../dist/slices.js';

/** Where Debian's package libonnx-testdata puts the cases of the ONNX project. */
export const root = '/usr/share/libonnx-testdata/data';

const suites = ['node', 'pytorch-converted', 'pytorch-operator', 'simple'];

/** Names of all cases, "node/test_relu". */
export function caseNames() {
  return suites.flatMap((suite) => readdirSync(join(root, suite)).map((name) => `${suite}/${name}`));
}

/** @param {string} name */
export function modelPath(name) {
  return join(root, name, 'model.onnx');
}

/** What convolutional networks are made of, their tails included. */
const operators = `
  Conv ConvTranspose MaxPool AveragePool GlobalAveragePool GlobalMaxPool BatchNormalization Gemm MatMul
  Relu LeakyRelu PRelu Clip Sigmoid HardSigmoid HardSwish Tanh Softmax Exp Sqrt Pow Add Sub Mul Div Sum ReduceMean
  Concat Split Slice Reshape Flatten Transpose Squeeze Unsqueeze Resize Upsample Pad DepthToSpace Gather
  Cast Shape Constant ConstantOfShape Identity Dropout
  QuantizeLinear DequantizeLinear QLinearConv ConvInteger NonMaxSuppression
`.split(/\s+/);

/** Whether a case has no other operators than networks of convolutions have. @param {string} name */
export function isOfConvolutionalNetworks(name) {
  if (name.startsWith('simple/')) return false;
  const { graph } = decode(modelFields, readFileSync(modelPath(name)));
  return (graph?.nodes ?? []).every(({ opType = '', domain }) => !domain && operators.includes(opType));
}

/**
 * Inputs and outputs of a case's data sets.
 * @param {string} name
 */
export function dataSets(name) {
  const folder = join(root, name);
  const sets = readdirSync(folder).filter((entry) => entry.startsWith('test_data_set_'));
  return sets.map((set) => ({
    inputs: tensors(join(folder, set), 'input'),
    outputs: tensors(join(folder, set), 'output'),
  }));
}

/** @param {string} folder @param {string} kind */
function tensors(folder, kind) {
  const files = readdirSync(folder).filter((file) => file.startsWith(`${kind}_`) && file.endsWith('.pb'));
  const order = files.sort((a, b) => numberOf(a) - numberOf(b));
  return order.map((file) => {
    const message = decode(tensorFields, readFileSync(join(folder, file)));
    return atOnce(readTensor(message, () => undefined));
  });
}

/** @param {string} file */
function numberOf(file) {
  return Number(file.match(/\d+/)?.[0]);
}
