import type { Op } from '../../binding';
import type { QuantizedOp } from '../integer/ops';
import { inferShapes } from './shapes';

/**
 * Multiplications of the convolutions and linear layers of an op list, for an input of these dims; those of
 * squeeze-and-excitation are not counted.
 */
export function countMacs(ops: readonly (Op | QuantizedOp)[], input: readonly number[], where: string): number {
  const shapes = inferShapes(ops, input, false, where);
  return ops.reduce((sum, op, i) => {
    if (op.op !== 'conv' && op.op !== 'quantizedConv') return sum;
    const [n, c, h, w] = shapes[i + 1] as [number, number, number, number];
    const inChannels = shapes[op.input]?.[1] as number;
    return sum + n * c * h * w * (inChannels / op.groups) * op.kernel ** 2;
  }, 0);
}
