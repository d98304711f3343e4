import type { Graph } from '../../graph';
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

/** The pass of the same name, for a graph with conversions. */
export function computeIntegers(graph: Graph): Graph {
  const integers = new Integers(graph, families);
  const { rewriter } = integers;
  for (const node of rewriter.nodes('quantizeLinear')) integers.convert(node);
  for (const node of rewriter.nodes()) productInFloats(node, integers);
  return fuseIntegers(removeDead(rewriter.finish()));
}
