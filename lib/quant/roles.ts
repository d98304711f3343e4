import { types } from 'node:util';
import { type Graph, type GraphNode, type GraphTensor, sameDims, sizeOf } from '../graph/graph';
import { isMover } from '../graph/movers';
import { clipBounds } from '../graph/ops/clip';
import { nodeView } from '../graph/specialize';

/**
 * How a node computes in integers.
 * - compute: sums of products with weights (Conv, ConvTranspose, Gemm).
 * - binary: Add and Mul of two maps, or of a map and one number per channel.
 * - average: the mean over pixels.
 * - mover: its outputs are numbers of its inputs, or zeros, so inputs and outputs share one scale.
 */
export type Role = 'compute' | 'binary' | 'average' | 'mover';

/** Functions of one number that follow convolutions; applied to bytes, they are tables. */
// biome-ignore format: many names a line
const functions: ReadonlySet<string> = new Set([
  'relu', 'leakyRelu', 'sigmoid', 'hardSigmoid', 'hardSwish', 'silu', 'mish', 'tanh', 'elu', 'celu', 'selu', 'softplus',
  'softsign', 'gelu', 'erf', 'abs', 'neg', 'thresholdedRelu',
]);

const arithmetic: ReadonlySet<string> = new Set(['add', 'sub', 'mul', 'div', 'min', 'max']);

const pools: ReadonlySet<string> = new Set(['maxPool', 'globalMaxPool']);

export function roleOf(node: GraphNode, graph: Graph): Role | undefined {
  const [x = ''] = node.inputs;
  const rank = rankOf(x, graph);
  if (!isFloat(node.outputs[0] as string, graph) || graph.tensors.has(x)) return undefined;
  switch (node.op) {
    case 'conv':
    case 'convTranspose':
      return (rank === 3 || rank === 4) && hasWeights(node, graph) ? 'compute' : undefined;
    case 'gemm': {
      const { transA, alpha, beta } = node.attributes;
      const isPlain = !transA && alpha === 1 && beta === 1 && rank === 2;
      return isPlain && hasWeights(node, graph) ? 'compute' : undefined;
    }
    case 'add':
    case 'mul':
      return isMapPair(node, graph) ? 'binary' : undefined;
    case 'averagePool':
    case 'globalAveragePool':
      return rank === 4 ? 'average' : undefined;
    case 'pad':
      return padsZeros(node, graph) ? 'mover' : undefined;
    case 'resize':
      return node.attributes.mode === 'nearest' &&
        node.attributes.coordinate_transformation_mode !== 'tf_crop_and_resize'
        ? 'mover'
        : undefined;
    default:
      return isMover(node) || pools.has(node.op) ? 'mover' : undefined;
  }
}

/** The inputs that hold data, not weights or shapes. */
export function dataInputs(node: GraphNode, graph: Graph): readonly string[] {
  const count = node.op === 'concat' || arithmetic.has(node.op) ? node.inputs.length : 1;
  return node.inputs.slice(0, count).filter((name) => name !== '' && !graph.tensors.has(name));
}

/** Whether a node is a function of one number. */
export function isElementwise(node: GraphNode, graph: Graph): boolean {
  if (!isFloat(node.outputs[0] as string, graph)) return false;
  if (functions.has(node.op)) return true;
  const isNumber = (name: string): boolean => graph.tensors.get(name)?.data.length === 1;
  if (node.op === 'clip') return node.inputs.slice(1).every((name) => name === '' || isNumber(name));
  if (node.op === 'affine') return ['scale', 'shift'].every((name) => isUniform(node.attributes[name]));
  if (node.op === 'pRelu') return isNumber(node.inputs[1] as string);
  return arithmetic.has(node.op) && node.inputs.every((name) => !graph.tensors.has(name) || isNumber(name));
}

/** Whether a node is a ReLU or a clip from zero: bytes whose lowest represents zero clamp in the same way. */
export function isRectifier(node: GraphNode, graph: Graph): boolean {
  if (node.op === 'relu') return true;
  return (
    node.op === 'clip' &&
    isElementwise(node, graph) &&
    clipBounds(nodeView(node, graph.values, graph.tensors)).low === 0
  );
}

export function isFloat(name: string, { values }: Graph): boolean {
  return values.get(name)?.type === 'float32';
}

export function dimsOf(name: string, { values }: Graph): readonly number[] {
  return (values.get(name)?.dims ?? []) as readonly number[];
}

export function elementsOf(name: string, graph: Graph): number {
  return sizeOf(dimsOf(name, graph));
}

export function floatsOf(tensor: GraphTensor | undefined): Float32Array | undefined {
  return types.isFloat32Array(tensor?.data) ? tensor.data : undefined;
}

function rankOf(name: string, graph: Graph): number {
  return dimsOf(name, graph).length;
}

/** Whether weights and bias are constants. */
function hasWeights({ inputs: [, weight = '', bias = ''] }: GraphNode, { tensors }: Graph): boolean {
  return floatsOf(tensors.get(weight)) !== undefined && (bias === '' || floatsOf(tensors.get(bias)) !== undefined);
}

/** Whether a node has two maps with the same dims, or a map and one number per channel. */
function isMapPair({ inputs: [a = '', b = ''] }: GraphNode, graph: Graph): boolean {
  if (graph.tensors.has(a) || graph.tensors.has(b)) return false;
  const [one, two] = [dimsOf(a, graph), dimsOf(b, graph)];
  if (one.length !== 4 || two.length !== 4) return false;
  const isGate = (dims: readonly number[]): boolean => dims[2] === 1 && dims[3] === 1;
  return sameDims(one, two) || (sameDims(one.slice(0, 2), two.slice(0, 2)) && (isGate(one) || isGate(two)));
}

function padsZeros({ attributes, inputs }: GraphNode, graph: Graph): boolean {
  const value = graph.tensors.get(inputs[2] ?? '');
  const isZero = !inputs[2] || (value !== undefined && Number(value.data[0]) === 0);
  return attributes.mode === 'constant' && isZero;
}

function isUniform(list: unknown): boolean {
  return (list as readonly number[]).every((value) => Object.is(value, (list as readonly number[])[0]));
}
