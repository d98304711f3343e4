import type { ConvGeometry, Op } from '../../binding';
import { describeList, mismatch, within } from '../errors';
import { checkedProduct } from '../limits';

/** Output length of a convolution along one side; 0 or less when the kernel does not fit. */
export function convOutput(length: number, op: Omit<ConvGeometry, 'outChannels' | 'groups'>): number {
  const reach = op.dilation * (op.kernel - 1) + 1;
  return Math.floor((length + 2 * op.padding - reach) / op.stride) + 1;
}

/**
 * Dims [n, c, h, w] of every value: first the input's, then one entry for each op.
 *
 * @throws {QARepVGGError} ERR_SHAPE when a kernel is larger than its padded input, or when batch norm in training has only one
 * value per channel (its variance would be zero; PyTorch refuses it, too); ERR_SIZE_OVERFLOW.
 */
export function inferShapes(ops: readonly Op[], input: readonly number[], training: boolean): number[][] {
  const shapes = [[...input]];
  for (const op of ops) {
    const source = shapes[op.op === 'add' ? (op.inputs[0] as number) : op.input] as number[];
    const shape = outputShape(op, source);
    if (op.op === 'batchNorm' && training) checkBatch(shape);
    within(`output of ${op.op}`, () => checkedProduct(shape));
    shapes.push(shape);
  }
  return shapes;
}

function outputShape(op: Op, source: readonly number[]): number[] {
  switch (op.op) {
    case 'conv':
      return convShape(op, source);
    case 'globalAverage':
      return [...source.slice(0, 2), 1, 1];
    default:
      return [...source];
  }
}

function convShape(op: ConvGeometry, [n, , h, w]: readonly number[]): number[] {
  const height = convOutput(h as number, op);
  const width = convOutput(w as number, op);
  if (height < 1 || width < 1) {
    const expected = `an image at least as large as the kernel (${op.kernel}, dilation ${op.dilation}, padding ${op.padding})`;
    throw mismatch('ERR_SHAPE', expected, `${h} x ${w}`);
  }
  return [n as number, op.outChannels, height, width];
}

function checkBatch(shape: readonly number[]): void {
  const [n, , h, w] = shape as [number, number, number, number];
  if (n * h * w > 1) return;
  const expected = 'more than one value per channel when batch norm is in training mode';
  throw mismatch('ERR_SHAPE', expected, `one (dims ${describeList(shape)})`);
}
