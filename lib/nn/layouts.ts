/**
 * Naming schemes of state dicts.
 * - 'official': the paper's repository, `cxxgtxy/QARepVGG` (and YOLOv6). Used inside this package too.
 * - 'seed': `conv3x3`, `bn3x3`, `conv1x1`, `final_bn`, and `weight`, `bias` after re-parameterisation; S4 only.
 */
export type Layout = 'official' | 'seed';

/** Prefixes of the 'official' layout and what stands for them in the 'seed' layout. */
const seedPrefixes = [
  ['rbr_dense.conv.', 'conv3x3.'],
  ['rbr_dense.bn.', 'bn3x3.'],
  ['rbr_1x1.', 'conv1x1.'],
  ['rbr_reparam.', ''],
  ['bn.', 'final_bn.'],
] as const;

/** The name of a tensor in `layout`, given its name in the 'official' one. */
export function nameIn(layout: Layout, name: string): string {
  const rule = layout === 'seed' ? seedPrefixes.find(([prefix]) => name.startsWith(prefix)) : undefined;
  return rule ? rule[1] + name.slice(rule[0].length) : name;
}

/** What a set of keys seems to come from, as words that continue "looks like". */
export function recognise(keys: readonly string[]): string | undefined {
  const some = (prefix: string): boolean => keys.some((key) => key.startsWith(prefix));
  if (some('branch_3x3.')) return 'a block in the layout of super-gradients';
  if (some('conv_kxk.') || some('reparam_conv.')) return 'a block in the layout of timm';
  if (some('conv3x3.')) return "a block in layout 'seed' in train form";
  if (some('rbr_dense.')) {
    if (some('rbr_1x1.conv.') || some('rbr_identity.')) return 'a RepVGG block (variants S0 to S2) in train form';
    return `a QARepVGG block of variant ${some('bn.') ? 'S4' : 'S3'} in train form`;
  }
  if (some('rbr_reparam.')) return `a block in ${some('bn.') ? 'partial' : 'deploy'} form`;
  if (some('weight')) return "a plain convolution, or a block in layout 'seed' in deploy form";
  return undefined;
}
