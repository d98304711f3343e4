import { affine } from './affine';
import { batchNormalization } from './batch-normalization';
import { binaryOps, mean, mod, pRelu, sum, where } from './binary';
import { bitShift } from './bit-shift';
import { branch } from './branch';
import { cast, castLike } from './cast';
import { clip } from './clip';
import { compress } from './compress';
import { concat } from './concat';
import { constant, constantOfShape, nonZero, range, shape, size } from './constants';
import { conv } from './conv';
import { convTranspose } from './conv-transpose';
import { depthToSpace, spaceToDepth } from './depth-to-space';
import { einsum } from './einsum';
import { gatherElements, oneHot, scatterElements, scatterNd, trilu } from './elements';
import { expand, tile } from './expand';
import { gather } from './gather';
import { gatherNd } from './gather-nd';
import { gemm } from './gemm';
import { gridSample } from './grid-sample';
import { dropout, identity } from './identity';
import { integerOps } from './integers';
import { isInf } from './is-inf';
import { globalLpPool, lpPool } from './lp-pool';
import { matMul, matMulTransposed } from './mat-mul';
import { microsoftOps } from './microsoft';
import { nonMaxSuppression } from './non-max-suppression';
import {
  groupNormalization,
  instanceNormalization,
  layerNormalization,
  localResponseNormalization,
  lpNormalization,
  meanVarianceNormalization,
  normalize,
} from './normalization';
import type { Op } from './op';
import { pad } from './pad';
import { averagePool, globalAveragePool, globalMaxPool, maxPool } from './pool';
import {
  convInteger,
  dequantizeLinear,
  matMulInteger,
  qLinearConv,
  qLinearMatMul,
  quantizeLinear,
} from './quantization';
import { reductions } from './reduce';
import { flatten, reshape, squeeze, unsqueeze } from './reshape';
import { resize, upsample } from './resize';
import { argMax, argMin, cumSum, topK } from './selection';
import { slice } from './slice';
import { hardmax, logSoftmax, softmax } from './softmax';
import { split } from './split';
import { squeezeExcite } from './squeeze-excite';
import { batchNorm, scale } from './training';
import { transpose, transposeAs } from './transpose';
import { unaryOps } from './unary';

/** Every operator by the name that nodes of a graph use: that of ONNX in camel case. */
export const ops: Readonly<Record<string, Op>> = {
  ...unaryOps,
  ...binaryOps,
  ...integerOps,
  ...microsoftOps,
  ...reductions,
  affine,
  argMax,
  argMin,
  averagePool,
  batchNorm,
  batchNormalization,
  bitShift,
  branch,
  cast,
  castLike,
  clip,
  compress,
  concat,
  constant,
  constantOfShape,
  conv,
  convInteger,
  convTranspose,
  cumSum,
  depthToSpace,
  dequantizeLinear,
  dropout,
  einsum,
  expand,
  flatten,
  gather,
  gatherElements,
  gatherNd,
  gemm,
  globalAveragePool,
  globalLpPool,
  globalMaxPool,
  gridSample,
  groupNormalization,
  hardmax,
  identity,
  instanceNormalization,
  isInf,
  layerNormalization,
  localResponseNormalization,
  logSoftmax,
  lpNormalization,
  lpPool,
  matMul,
  matMulInteger,
  matMulTransposed,
  maxPool,
  mean,
  meanVarianceNormalization,
  mod,
  nonMaxSuppression,
  normalize,
  nonZero,
  oneHot,
  pRelu,
  qLinearConv,
  qLinearMatMul,
  quantizeLinear,
  pad,
  range,
  reshape,
  resize,
  scale,
  scatterElements,
  scatterNd,
  shape,
  size,
  slice,
  softmax,
  spaceToDepth,
  split,
  squeezeExcite,
  squeeze,
  sum,
  tile,
  topK,
  transpose,
  transposeAs,
  trilu,
  unsqueeze,
  upsample,
  where,
};

/** The operator of a node of a graph: the nodes of a graph have operators of the table only. */
export function opOf(node: { readonly op: string }): Op {
  return ops[node.op] as Op;
}

const byOnnxName = new Map(Object.entries(ops).map(([name, op]) => [op.onnx, name]));

/** The name in graphs of an operator of ONNX; nothing for an unknown one. */
export function opNamed(onnx: string): string | undefined {
  return onnx === '' ? undefined : byOnnxName.get(onnx);
}
