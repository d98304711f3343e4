import type { BlockShape } from './structure';
import type { Variant } from './variants';

/** The options of a block that show in the names of its tensors. */
export type Kind = Pick<BlockShape, 'variant' | 'alpha' | 'pointwiseBias'>;

const extras = [
  { alpha: true, pointwiseBias: true },
  { alpha: true, pointwiseBias: false },
  { alpha: false, pointwiseBias: true },
  { alpha: false, pointwiseBias: false },
];

/** Kinds with different names. If the names of one kind include those of another, it comes first. S0 has the names of S1. */
export const kinds: readonly Kind[] = (['S1', 'S2', 'S4', 'S3'] as const).flatMap((variant) =>
  extras.map((extra) => ({ variant, ...extra })),
);

/** Whether the tensors of both have the same names. */
export function sameNames(a: Kind, b: Kind): boolean {
  const variant = (kind: Kind): Variant => (kind.variant === 'S0' ? 'S1' : kind.variant);
  return variant(a) === variant(b) && a.alpha === b.alpha && a.pointwiseBias === b.pointwiseBias;
}

/** Whether blocks of this kind are RepVGG's. */
export function isRepVGG({ variant }: Kind): boolean {
  return variant === 'S0' || variant === 'S1';
}

/** The options that choose this kind, as code: "pointwiseBias: true". */
export function optionsFor({ variant, alpha, pointwiseBias }: Kind): string {
  return [
    ...(variant === 'S1' || variant === 'S4' ? [] : [`variant: '${variant}'`]),
    ...(alpha ? ['alpha: true'] : []),
    ...(pointwiseBias ? ['pointwiseBias: true'] : []),
  ].join(', ');
}
