import fc from 'fast-check';
import { type BlockOptions, QARepVGGBlock, type RepBlock, type StateDict, type Tensor } from '../../lib';
import { Random } from '../../lib/random';

/** Legal options of small blocks, all kinds. */
export const blockOptions: fc.Arbitrary<BlockOptions> = fc
  .record({
    groups: fc.constantFrom(1, 1, 2, 3),
    inPerGroup: fc.integer({ min: 1, max: 12 }),
    outPerGroup: fc.integer({ min: 1, max: 12 }),
    square: fc.boolean(),
    stride: fc.constantFrom(1, 1, 2) as fc.Arbitrary<1 | 2>,
    dilation: fc.constantFrom(1, 1, 2, 3),
    activation: fc.constantFrom('relu', 'none') as fc.Arbitrary<'relu' | 'none'>,
    variant: fc.constantFrom('S0', 'S1', 'S2', 'S3', 'S4', 'S4') as fc.Arbitrary<'S0' | 'S1' | 'S2' | 'S3' | 'S4'>,
    eps: fc.constantFrom(1e-5, 1e-3),
    pointwiseBias: fc.boolean(),
    alpha: fc.boolean(),
    averageBranch: fc.boolean(),
  })
  .map(({ inPerGroup, outPerGroup, square, averageBranch, ...options }) => ({
    ...options,
    inChannels: inPerGroup * options.groups,
    outChannels: (square ? inPerGroup : outPerGroup) * options.groups,
    averageBranch: averageBranch && options.dilation === 1,
  }));

/** How a block's tensors are drawn; variances are log-uniform. */
export interface Spread {
  readonly minVariance: number;
  readonly maxVariance: number;
}

/** A block in eval mode whose every tensor is random: nothing is left at the 0 or 1 of initialisation. */
export function randomBlock(options: BlockOptions, seed: number, spread: Spread): RepBlock {
  const block = new QARepVGGBlock(options).eval();
  block.loadStateDict(randomState(block.stateDict(), seed, spread));
  return block;
}

/** Other values for all tensors, fit for a network of some depth. */
export function randomState(state: StateDict, seed: number, { minVariance, maxVariance }: Spread): StateDict {
  const random = new Random(seed);
  return mapState(state, (name, { data, dims }) => {
    if (name.endsWith('running_var')) {
      return data.map(() => Math.exp(random.uniform(Math.log(minVariance), Math.log(maxVariance))));
    }
    const std = dims.length === 4 ? Math.sqrt(1 / data.slice(0, data.length / (dims[0] as number)).length) : 1;
    random.fillNormal(data, 0, std);
    return data;
  });
}

/** A state dict with other data under the same names. */
export function mapState(state: StateDict, map: (name: string, tensor: Tensor) => Float32Array): StateDict {
  return Object.fromEntries(
    Object.entries(state).map(([name, tensor]) => [name, { data: map(name, tensor), dims: tensor.dims }]),
  );
}
