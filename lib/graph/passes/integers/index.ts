import type { Graph, GraphNode } from '../../graph';
import { removeDead } from '../remove-dead';
import { binary } from './binary';
import { clamp, readRelu } from './clamps';
import { type Families, Integers } from './context';
import { product, productInFloats } from './convolutions';
import { fuseIntegers } from './fuse';
import { readConcat, readMoved, readReshape, readSplit, roundConcat, roundMoved, roundReshape } from './moves';
import { average, globalAverage } from './pools';
import { functions } from './tables';

const families: Families = {
  clamps: { clip: clamp, relu: clamp },
  functions,
  roundings: {
    add: binary,
    averagePool: average,
    concat: roundConcat,
    conv: product,
    convTranspose: product,
    gemm: product,
    globalAveragePool: globalAverage,
    matMul: product,
    maxPool: roundMoved,
    mul: binary,
    pad: roundMoved,
    reduceMean: globalAverage,
    reshape: roundReshape,
    resize: roundMoved,
    slice: roundMoved,
    sub: binary,
  },
  readings: {
    concat: readConcat,
    identity: readReshape,
    maxPool: readMoved,
    pad: readMoved,
    relu: readRelu,
    reshape: readReshape,
    resize: readMoved,
    slice: readMoved,
    split: readSplit,
  },
};

/**
 * Computes nodes between DequantizeLinear and QuantizeLinear in integers where the engine can. The scales of the conversions
 * become attributes of native nodes. Other conversions stay, and so does a graph without conversions.
 */
export function computeIntegers(graph: Graph): Graph {
  const isGiven = ({ op, inputs: [x = ''] }: GraphNode): boolean => op === 'dequantizeLinear' && !graph.tensors.has(x);
  if (!graph.nodes.some((node) => node.op === 'quantizeLinear' || isGiven(node))) return graph;
  const integers = new Integers(graph, families);
  const { rewriter } = integers;
  for (const node of rewriter.nodes()) if (node.op === 'quantizeLinear') integers.convert(node);
  for (const node of rewriter.nodes()) productInFloats(node, integers);
  return fuseIntegers(removeDead(rewriter.finish()));
}

const products = ['quantizedConv', 'quantizedConvTranspose'];
const floatProducts = ['conv', 'convTranspose', 'matMul'];

/** Whether a node of an optimised graph is a convolution or matrix product in integers. Its weights are its second input. */
export function isIntegerProduct({ op }: GraphNode): boolean {
  return products.includes(op);
}

/** How many convolutions and matrix products with weights a graph has, and how many of them compute in integers. */
export interface Products {
  readonly integer: number;
  readonly all: number;
}

/** Counts those of an optimised graph. */
export function countProducts({ nodes, tensors }: Graph): Products {
  const integer = nodes.filter(isIntegerProduct).length;
  const float = nodes.filter(({ op, inputs }) => floatProducts.includes(op) && tensors.has(inputs[1] as string)).length;
  return { integer, all: integer + float };
}
