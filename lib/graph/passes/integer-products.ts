import type { Graph, GraphNode } from '../graph';

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
