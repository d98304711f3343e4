import { minNormal } from '../../data-types';
import type { GraphNode, GraphTensor } from '../../graph';
import type { Rewriter } from '../../rewriter';
import { numbersOf } from '../../tensors';

/** What bytes stand for: (q - zeroPoint) * scale. */
export interface Scale {
  readonly scale: number;
  readonly zeroPoint: number;
}

/** A value of bytes in the engine, of four dims; what has two in the graph, [n, c], is [n, c, 1, 1] there. */
export interface Bytes extends Scale {
  readonly name: string;
}

export function sameScale(a: Scale, b: Scale): boolean {
  return a.scale === b.scale && a.zeroPoint === b.zeroPoint;
}

/** Operators one behind the other that passes look through. */
export const maxDepth = 256;

/** What a conversion says of unsigned bytes; nothing where it is not one pair of constants for all, or of another type. */
export function scaleOf(node: GraphNode, rewriter: Rewriter): Scale | undefined {
  const scale = single(rewriter.tensor(node.inputs[1]));
  const zero = rewriter.tensor(node.inputs[2]);
  const bytes = node.op === 'quantizeLinear' ? node.outputs[0] : node.inputs[0];
  const zeroPoint = node.inputs[2] ? single(zero) : 0;
  const isUnsigned = rewriter.value(bytes as string)?.type === 'uint8';
  if (!isUnsigned || scale === undefined || zeroPoint === undefined) return undefined;
  return scale >= minNormal && Number.isFinite(scale) ? { scale, zeroPoint } : undefined;
}

function single(tensor: GraphTensor | undefined): number | undefined {
  return tensor?.data.length === 1 ? (numbersOf(tensor)[0] as number) : undefined;
}

/** Attributes of a native node under the names of what is read or written: { inputScale, inputZeroPoint }. */
export function named(prefix: string, { scale, zeroPoint }: Scale): Record<string, number> {
  return { [`${prefix}Scale`]: scale, [`${prefix}ZeroPoint`]: zeroPoint };
}

/** The inverse of {@link named}. */
export function scaleNamed(prefix: string, { attributes }: GraphNode): Scale {
  const { [`${prefix}Scale`]: scale, [`${prefix}ZeroPoint`]: zeroPoint } = attributes as Record<string, number>;
  return { scale: scale as number, zeroPoint: zeroPoint as number };
}
