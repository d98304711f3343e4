import type { ConvOp, GlobalAverageOp, Op, SqueezeExciteOp } from '../../binding';
import { mismatch } from '../errors';

/** The ops of a re-parameterised model. */
export type DeployOp = ConvOp | GlobalAverageOp | SqueezeExciteOp;

/**
 * The ops of a model that is in deploy form: a chain, each op reading the one before it.
 *
 * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for a model with branches or batch norms left.
 */
export function deployOps(ops: readonly Op[], where: string): readonly DeployOp[] {
  if (ops.every(isDeployOp)) return ops as readonly DeployOp[];
  const received = 'one with branches or batch norms; call model.eval().switchToDeploy() first';
  throw mismatch('ERR_MODEL_INCOMPATIBLE', where, 'a model in deploy form', received);
}

/** A branch shows as an op that does not read the one before it, or as the sum that ends it. */
function isDeployOp(op: Op, index: number): boolean {
  return (op.op === 'conv' || op.op === 'globalAverage' || op.op === 'squeezeExcite') && op.input === index;
}
