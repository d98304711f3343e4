import type { Steps } from '../../slices';
import type { Graph } from '../graph';
import { opOf } from '../ops';
import { type InputDims, specialize, specializeSteps } from '../specialize';
import { activationIntoOp } from './activation-into-op';
import { writeAffine } from './affine';
import { affineIntoActivation } from './affine-into-activation';
import { computeIntegers } from './compute-integers';
import { writeComputedKernels } from './computed-kernels';
import { dropIdentities } from './drop-identities';
import { findActivations } from './find-activations';
import { findNorms } from './find-norms';
import { findSqueezeExcite } from './find-squeeze-excite';
import { lowerGemm } from './gemm';
import { intoConvs } from './into-convs';
import { moveTransposes } from './move-transposes';
import { padIntoConv } from './pad-into-conv';
import { type Pass, runPasses } from './pass';
import { linesAsPlanes } from './planes';
import { productsAsConvs } from './products-as-convs';
import { removeDead } from './remove-dead';
import { unifyReshapes } from './reshapes';
import { residualIntoConv } from './residual-into-conv';
import { roundTensors } from './round-tensors';
import { transposeIntoProduct } from './transpose-into-product';
import { writeOut, writeOutConversions } from './write-out';

export { countProducts, isIntegerProduct, type Products } from './integer-products';

/** Folds nodes whose inputs the passes before have made constant. */
const fold: Pass = (graph) => {
  const isConstant = (name: string): boolean => name === '' || graph.tensors.has(name);
  const isLeft = graph.nodes.some((node) => {
    const { evaluate, dimsOnly } = opOf(node);
    return evaluate && (dimsOnly || node.inputs.every(isConstant));
  });
  if (!isLeft) return graph;
  const dims = graph.inputs.map(({ name }) => [name, graph.values.get(name)?.dims as readonly number[]] as const);
  return specialize(graph, new Map(dims));
};

/** Each pass prepares the next. All know the dims of every value. */
const passes: readonly Pass[] = [
  dropIdentities,
  unifyReshapes,
  dropIdentities,
  removeDead,
  writeOut,
  fold,
  findNorms,
  linesAsPlanes,
  padIntoConv,
  findActivations,
  computeIntegers,
  writeOutConversions,
  fold,
  writeComputedKernels,
  ...intoConvs,
  findSqueezeExcite,
  activationIntoOp,
  residualIntoConv,
  affineIntoActivation,
  lowerGemm,
  writeAffine,
  activationIntoOp,
  productsAsConvs,
  transposeIntoProduct,
  moveTransposes,
  unifyReshapes,
  dropIdentities,
  removeDead,
  roundTensors,
];

/** Optimises the graph for inputs of these dims. @throws {QARepVGGError} the errors of {@link specialize} */
export function* optimize(graph: Graph, inputs: InputDims): Steps<Graph> {
  return yield* simplify(yield* specializeSteps(graph, inputs));
}

/** As {@link optimize}, of a graph that `specialize` has made. */
export function simplify(special: Graph): Steps<Graph> {
  return runPasses(passes, special);
}
