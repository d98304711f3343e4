import type { Attributes, GraphNode } from '../../graph/graph';
import { namedNode, squareWindow } from '../graph';
import { squeezeExciteSlots } from './squeeze-excite';
import { type BlockShape, type BlockStructure, type Branch, batchNormSlots, type ConvBranch } from './structure';

/**
 * The nodes that compute a block from the value `input`, in the order in which they run. A node is named after its tensors; a
 * single convolution has the name of the block.
 */
export function blockNodes(name: string, block: BlockStructure, input: string): GraphNode[] {
  const { shape, branches, postBatchNorm, squeezeExcite } = block;
  const nodes: GraphNode[] = [];
  const add = (made: string, op: string, inputs: readonly string[], attributes?: Attributes): string => {
    nodes.push(namedNode(made, op, inputs, attributes));
    return made;
  };
  const carrier = carrierOf(branches);
  const computed = carrier ? branches.filter((branch) => !isPlainIdentity(branch)) : branches;

  const convolve = (branch: ConvBranch): string => {
    const { kernel, weight, bias = '', scale } = branch;
    const operands = branch === carrier ? [weight, bias, input] : bias ? [weight, bias] : [weight];
    const own = computed.length === 1 ? name : weight.slice(0, weight.lastIndexOf('.'));
    const value = add(own, 'conv', [input, ...operands], convAttributes(shape, kernel));
    return scale === undefined ? value : add(`${own}.scaled`, 'scale', [value, scale]);
  };
  const normalize = (value: string, prefix: string | undefined, addends: readonly string[] = []): string => {
    if (prefix === undefined) return value;
    const tensors = batchNormSlots(shape, prefix).map((slot) => slot.name);
    const { eps: epsilon, momentum } = shape;
    return add(prefix, 'batchNorm', [value, ...tensors, ...addends], { epsilon, momentum });
  };
  const compute = (branch: Branch, addends?: readonly string[]): string => {
    if (branch.kind === 'average') return add(`${name}.average`, 'averagePool', [input], averageAttributes);
    return normalize(branch.kind === 'conv' ? convolve(branch) : input, branch.batchNorm, addends);
  };
  const sumOf = (values: readonly string[]): string =>
    values.length === 1 ? (values[0] as string) : add(`${name}.sum`, 'sum', values);

  const absorber = absorberOf(block, computed);
  const values = computed.filter((branch) => branch !== absorber).map((branch) => compute(branch));
  const sum = absorber ? compute(absorber, [sumOf(values)]) : sumOf(values);
  const normalized = normalize(sum, postBatchNorm);
  if (squeezeExcite) {
    const tensors = squeezeExciteSlots(squeezeExcite, shape.outChannels).map((slot) => slot.name);
    add(squeezeExcite.name, 'squeezeExcite', [normalized, ...tensors]);
  }
  const last = nodes.pop() as GraphNode;
  return [...nodes, shape.activation === 'none' ? last : { ...last, activation: { kind: shape.activation } }];
}

/** Keeps the centre tap of both kernels on the same pixel, so that their outputs can be added. */
function convAttributes({ stride, dilation, groups }: BlockShape, kernel: 1 | 3): Attributes {
  const reach = kernel === 1 ? {} : { dilation, padding: dilation };
  return { ...squareWindow({ kernel, stride, ...reach }), group: groups };
}

/** Zeros of the padding count in the mean. */
const averageAttributes: Attributes = { ...squareWindow({ kernel: 3, padding: 1 }), count_include_pad: 1 };

/** A 1x1 branch without batch norm adds the identity, as ones on its diagonal: this saves a pass over the images. */
function carrierOf(branches: readonly Branch[]): Branch | undefined {
  if (!branches.some(isPlainIdentity)) return undefined;
  return branches.find(
    (branch) => branch.kind === 'conv' && branch.kernel === 1 && (branch.scale ?? branch.batchNorm) === undefined,
  );
}

function isPlainIdentity({ kind, batchNorm }: Branch): boolean {
  return kind === 'identity' && batchNorm === undefined;
}

/** A single batch norm adds the sum of the other branches, unless an activation follows that needs the whole sum. */
function absorberOf({ shape, ...after }: BlockStructure, computed: readonly Branch[]): Branch | undefined {
  const [absorber, ...others] = computed.filter(({ batchNorm }) => batchNorm !== undefined);
  const needsSum = shape.activation !== 'none' && !after.postBatchNorm && !after.squeezeExcite;
  return others.length > 0 || computed.length === 1 || needsSum ? undefined : absorber;
}
