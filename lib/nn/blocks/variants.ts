/** Variants of blocks, as in the ablation of the paper; structure.ts says what each computes. */
export const variants = ['S0', 'S1', 'S2', 'S3', 'S4'] as const;

/**
 * Structures of the paper's ablation (QARepVGG, arXiv 2212.01593, table 3):
 * - S0, S1: RepVGG, batch norm on all three branches. They differ in the weight decay of training only.
 * - S2: no batch norm on the identity.
 * - S3: no batch norm on the identity and the 1x1.
 * - S4: QARepVGG: S3 with a batch norm after the sum.
 */
export type Variant = (typeof variants)[number];

/** The variants of RepVGG. */
export const repVGGVariants = ['S0', 'S1'] as const satisfies readonly Variant[];
