import type { Layout } from '../state/layouts';

/** What makes a variant. */
interface VariantTraits {
  readonly family: 'repvgg' | 'qarepvgg';
  /** What has a batch norm besides the 3x3: the identity, the 1x1, the sum of all branches. In this order. */
  readonly norms: readonly ('identity' | 'pointwise' | 'sum')[];
  /** The layouts that have names for all its tensors. */
  readonly layouts: readonly Layout[];
  /** Trained with RepVGG's own regulariser unless told otherwise. */
  readonly customL2?: true;
}

const repVGG = {
  family: 'repvgg',
  norms: ['identity', 'pointwise'],
  layouts: ['official', 'yolov6', 'repvgg', 'timm', 'super-gradients'],
} as const;

const table = {
  S0: { ...repVGG, customL2: true },
  S1: repVGG,
  S2: { family: 'qarepvgg', norms: ['pointwise'], layouts: ['official'] },
  S3: { family: 'qarepvgg', norms: [], layouts: ['official', 'super-gradients'] },
  S4: { family: 'qarepvgg', norms: ['sum'], layouts: ['official', 'yolov6', 'seed', 'super-gradients'] },
} as const satisfies Readonly<Record<string, VariantTraits>>;

/**
 * Structures of the paper's ablation (QARepVGG, arXiv 2212.01593, table 3):
 * - S0, S1: RepVGG, batch norm on all three branches. They differ in the weight decay of training only.
 * - S2: no batch norm on the identity.
 * - S3: no batch norm on the identity and the 1x1.
 * - S4: QARepVGG: S3 with a batch norm after the sum.
 */
export type Variant = keyof typeof table;

export const variants = Object.keys(table) as Variant[];

/** The variants of RepVGG. */
export const repVGGVariants = variants.filter((name) => table[name].family === 'repvgg') as ('S0' | 'S1')[];

export function traitsOfVariant(name: Variant): VariantTraits {
  return table[name];
}

export function hasNorm(name: Variant, norm: VariantTraits['norms'][number]): boolean {
  return traitsOfVariant(name).norms.includes(norm);
}
