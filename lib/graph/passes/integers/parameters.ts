import { isNormal } from '../../data-types';
import type { GraphNode, GraphTensor } from '../../graph';
import type { Rewriter } from '../../rewriter';
import { numbersOf } from '../../tensors';

/** Byte q represents the number (q - zeroPoint) * scale. */
export interface Scale {
  readonly scale: number;
  readonly zeroPoint: number;
}

/** A value of bytes. The engine's are maps, which have four dims; see {@link mapDims}. */
export interface Bytes extends Scale {
  readonly name: string;
}

/** Dims of the map that has the elements of a value, in the same order: [n, c] becomes [n, c, 1, 1], and [n, c, l] [n, c, 1, l]. */
export function mapDims(dims: readonly number[]): readonly number[] | undefined {
  const [n = 0, c = 0, length = 1] = dims;
  if (dims.includes(0) || dims.length < 2 || dims.length > 4) return undefined;
  return dims.length === 4 ? dims : [n, c, 1, length];
}

export function sameScale(a: Scale, b: Scale): boolean {
  return a.scale === b.scale && a.zeroPoint === b.zeroPoint;
}

/** A convolution can round its own input if that has at most this many channels. */
export const imageChannels = 4;

/** Passes follow chains of at most this many operators. */
export const maxDepth = 256;

/** Scale and zero point of a conversion, if they are one pair of constants. Signed bytes count as raised by 128. */
export function scaleOf(node: GraphNode, rewriter: Rewriter): Scale | undefined {
  const scale = single(rewriter.tensor(node.inputs[1]));
  const zero = rewriter.tensor(node.inputs[2]);
  const bytes = node.op === 'quantizeLinear' ? node.outputs[0] : node.inputs[0];
  const zeroPoint = node.inputs[2] ? single(zero) : 0;
  const offset = offsets[rewriter.value(bytes as string)?.type ?? ''];
  if (offset === undefined || scale === undefined || zeroPoint === undefined) return undefined;
  return isNormal(scale) ? { scale, zeroPoint: zeroPoint + offset } : undefined;
}

/** What makes bytes of a type unsigned. */
const offsets: Readonly<Record<string, number>> = { uint8: 0, int8: 128 };

function single(tensor: GraphTensor | undefined): number | undefined {
  return tensor?.data.length === 1 ? (numbersOf(tensor)[0] as number) : undefined;
}

/** The attributes of a native node for a scale: { inputScale, inputZeroPoint }. */
export function named(prefix: string, { scale, zeroPoint }: Scale): Record<string, number> {
  return { [`${prefix}Scale`]: scale, [`${prefix}ZeroPoint`]: zeroPoint };
}

/** The inverse of {@link named}. */
export function scaleNamed(prefix: string, { attributes }: GraphNode): Scale {
  const { [`${prefix}Scale`]: scale, [`${prefix}ZeroPoint`]: zeroPoint } = attributes as Record<string, number>;
  return { scale: scale as number, zeroPoint: zeroPoint as number };
}
