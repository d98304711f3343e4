import type { BlockShape, Form } from '../blocks/structure';
import { hasNorm, traitsOfVariant, variants } from '../blocks/variants';
import type { SlotSpec } from './state';

/**
 * Naming schemes of state dicts.
 * - 'official': the paper's repository, `cxxgtxy/QARepVGG`. This package uses it internally.
 * - 'yolov6', 'repvgg': YOLOv6 and `DingXiaoH/RepVGG`, which have the names of 'official' for the variants that they know.
 *   A YOLOv6 block that is "switched to deploy" is in partial form here: it keeps the batch norm after the sum.
 * - 'seed': `conv3x3`, `bn3x3`, `conv1x1`, `final_bn`, and in deploy form `weight`, `bias`; S4 only.
 * - 'super-gradients': `branch_3x3`, `branch_1x1`, `post_bn`, and in networks `stem`. Its QARepVGGBlock in train form
 *   also has a convolution `rbr_reparam` without meaning. It is written as zeros and not read.
 * - 'timm': `conv_kxk`, `conv_1x1`, `identity`, `reparam_conv`, and in networks `stem`, `stages`, `head.fc`.
 *
 * Every layout names the deploy form of every variant: one plain convolution has no variant.
 */
export type Layout = 'official' | 'yolov6' | 'repvgg' | 'seed' | 'super-gradients' | 'timm';

type Rules = readonly (readonly [official: string, other: string])[];

interface Names {
  /** Replacements for the prefixes of a block's tensors; the first that fits is used. */
  readonly block: Rules;
  /** Replacements for the prefixes of blocks and of the classifier in a network. */
  readonly network: Rules;
}

const asOfficial: Names = { block: [], network: [] };

const names: Readonly<Record<Layout, Names>> = {
  official: asOfficial,
  yolov6: asOfficial,
  repvgg: asOfficial,
  seed: {
    block: [
      ['rbr_dense.conv.', 'conv3x3.'],
      ['rbr_dense.bn.', 'bn3x3.'],
      ['rbr_1x1.', 'conv1x1.'],
      ['rbr_reparam.', ''],
      ['bn.', 'final_bn.'],
    ],
    network: [],
  },
  'super-gradients': {
    block: [
      ['rbr_dense.', 'branch_3x3.'],
      ['rbr_1x1.', 'branch_1x1.'],
      ['rbr_identity.', 'no_conv_branch.'],
      ['bn.', 'post_bn.'],
    ],
    network: [['stage0.', 'stem.']],
  },
  timm: {
    block: [
      ['rbr_dense.', 'conv_kxk.'],
      ['rbr_1x1.', 'conv_1x1.'],
      ['rbr_identity.', 'identity.'],
      ['rbr_reparam.', 'reparam_conv.'],
      ['se.down.', 'attn.fc1.'],
      ['se.up.', 'attn.fc2.'],
    ],
    network: [
      ['stage0.', 'stem.'],
      ['stage1.', 'stages.0.'],
      ['stage2.', 'stages.1.'],
      ['stage3.', 'stages.2.'],
      ['stage4.', 'stages.3.'],
      ['linear.', 'head.fc.'],
    ],
  },
};

/** All layouts. */
export const allLayouts = Object.keys(names) as Layout[];

/** The layouts that have names with the same meaning for the tensors of blocks in the given form. */
export function layoutsOf({ variant, alpha }: Pick<BlockShape, 'variant' | 'alpha'>, form: Form): readonly Layout[] {
  if (form === 'deploy') return allLayouts;
  const { layouts } = traitsOfVariant(variant);
  // In the RepVGG block of super-gradients, alpha multiplies the output of the batch norm.
  return alpha && hasNorm(variant, 'pointwise') ? layouts.filter((layout) => layout !== 'super-gradients') : layouts;
}

const networkPrefix = /^(?:stage0\.|stage\d\.\d+\.|linear\.)/;

/** Translates the name of a tensor from the 'official' layout. */
export function nameIn(layout: Layout, name: string): string {
  const prefix = networkPrefix.exec(name)?.[0] ?? '';
  const { block, network } = names[layout];
  return rename(network, prefix) + rename(block, name.slice(prefix.length));
}

function rename(rules: Rules, name: string): string {
  const rule = rules.find(([from]) => name.startsWith(from));
  return rule ? rule[1] + name.slice(rule[0].length) : name;
}

const dense = 'rbr_dense.conv.weight';

/** Tensors without meaning that a state dict in `layout` has besides those in `slots`. */
export function placeholders(layout: Layout, slots: readonly SlotSpec[]): Pick<SlotSpec, 'name' | 'dims'>[] {
  if (layout !== 'super-gradients') return [];
  const own = new Set(slots.map(({ name }) => name));
  return slots.flatMap(({ name, dims }) => {
    const prefix = name.slice(0, -dense.length);
    // Only the QARepVGG block has them: its 1x1 has no batch norm.
    if (!name.endsWith(dense) || !own.has(`${prefix}rbr_1x1.weight`)) return [];
    return [
      { name: nameIn(layout, `${prefix}rbr_reparam.weight`), dims },
      { name: nameIn(layout, `${prefix}rbr_reparam.bias`), dims: dims.slice(0, 1) },
    ];
  });
}

/** Matches the batch norm after the sum of the branches, but not that of a branch. */
const postBatchNorm = /(?:^|(?:^|\.)(?!rbr_)[^.]+\.)bn\.|(?:^|\.)(?:final|post)_bn\./;

/** Guesses where a set of keys comes from, as words that continue "looks like". */
export function recognize(keys: readonly string[]): string | undefined {
  const has = (part: string): boolean => keys.some((key) => `.${key}`.includes(`.${part}`));
  const thing = keys.some((key) => networkPrefix.test(key) || key.startsWith('stem.')) ? 'network' : 'block';
  const post = keys.some((key) => postBatchNorm.test(key));
  const fused = post ? 'partial' : 'deploy';
  if (has('branch_3x3.')) return `a ${thing} in layout 'super-gradients' in train form`;
  if (has('post_bn.')) return `a ${thing} in layout 'super-gradients' in partial form`;
  if (has('conv_kxk.')) return `a ${thing} in layout 'timm' in train form`;
  if (has('reparam_conv.')) return `a ${thing} in layout 'timm' in deploy form`;
  if (has('conv3x3.')) return `a ${thing} in layout 'seed' in train form`;
  if (has('rbr_dense.conv.bias')) return `a ${thing} of YOLOv6 between its fuse_model and switch_to_deploy`;
  if (has('rbr_1x1.conv.')) return `a RepVGG ${thing} (variants S0 to S2) in train form`;
  if (has('rbr_dense.')) {
    const norms = [...(has('rbr_identity.') ? ['identity'] : []), ...(post ? ['sum'] : [])];
    const variant = variants.find((name) => `${traitsOfVariant(name).norms}` === `${norms}`);
    return `a QARepVGG ${thing} of ${variant ? `variant ${variant}` : 'an unknown variant'} in train form`;
  }
  if (has('rbr_reparam.')) return `a ${thing} in ${fused} form`;
  if (thing === 'network' || has('final_bn.')) return `a ${thing} in layout 'seed' in ${fused} form`;
  return has('weight') ? "a plain convolution, or a block in layout 'seed' in deploy form" : undefined;
}
