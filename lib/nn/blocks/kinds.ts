import type { BlockShape } from './structure';
import { traitsOfVariant, type Variant, variants } from './variants';

/** The options of a block that show in the names of its tensors. */
export type Kind = Pick<BlockShape, 'variant' | 'alpha' | 'pointwiseBias'>;

const extras = [
  { alpha: true, pointwiseBias: true },
  { alpha: true, pointwiseBias: false },
  { alpha: false, pointwiseBias: true },
  { alpha: false, pointwiseBias: false },
];

/** Names of tensors depend on the batch norms of a variant. */
function norms(variant: Variant): string {
  return `${traitsOfVariant(variant).norms}`;
}

/** Kinds with different names. If the names of one kind include those of another, it comes first. */
export const kinds: readonly Kind[] = variants
  .filter((variant, i) => !variants.slice(i + 1).some((later) => norms(later) === norms(variant)))
  .sort((a, b) => traitsOfVariant(b).norms.length - traitsOfVariant(a).norms.length)
  .flatMap((variant) => extras.map((extra) => ({ variant, ...extra })));

/** Whether the tensors of both have the same names. */
export function sameNames(a: Kind, b: Kind): boolean {
  return norms(a.variant) === norms(b.variant) && a.alpha === b.alpha && a.pointwiseBias === b.pointwiseBias;
}

/** Whether blocks of `other` would have the names of this kind if they had no identity. */
export function lacksIdentity({ variant }: Kind, other: Kind): boolean {
  return `${['identity', ...traitsOfVariant(variant).norms]}` === norms(other.variant);
}

/** Whether blocks of this kind are RepVGG's. */
export function isRepVGG({ variant }: Kind): boolean {
  return traitsOfVariant(variant).family === 'repvgg';
}

/** The options that choose this kind, as code: "pointwiseBias: true". */
export function optionsFor({ variant, alpha, pointwiseBias }: Kind): string {
  return [
    ...(variant === 'S1' || variant === 'S4' ? [] : [`variant: '${variant}'`]),
    ...(alpha ? ['alpha: true'] : []),
    ...(pointwiseBias ? ['pointwiseBias: true'] : []),
  ].join(', ');
}
