import { QARepVGGBlock, randn, type Tensor, type TensorLike } from '../index';
import { Random } from '../random';

/** The blocks of the demo: [inChannels, outChannels, stride]. Widths and strides are those of a small classifier. */
const layers = [
  [3, 32, 2],
  [32, 32, 1],
  [32, 64, 2],
  [64, 64, 1],
  [64, 64, 1],
  [64, 128, 2],
  [128, 128, 1],
  [128, 128, 1],
] as const;

/**
 * QARepVGG blocks in eval mode that look like trained ones: every branch and batch norm has weights of its own, and
 * running statistics fit the images, so that activations keep their scale through the stack.
 */
export function buildStack(images: TensorLike): QARepVGGBlock[] {
  let input = images;
  return layers.map(([inChannels, outChannels, stride], i) => {
    // With momentum 1, running statistics are those of the last batch: one forward calibrates.
    const block = new QARepVGGBlock({ inChannels, outChannels, stride, momentum: 1, seed: i });
    randomise(block, i);
    block.forward(input, { grad: false });
    input = block.eval().forward(input);
    return block;
  });
}

/** The same blocks, each folded into one convolution. */
export function deployStack(stack: readonly QARepVGGBlock[]): QARepVGGBlock[] {
  return stack.map((block) => {
    const copy = new QARepVGGBlock(block.options);
    copy.loadStateDict(block.stateDict());
    return copy.eval().switchToDeploy();
  });
}

/** Runs a stack; `onBlock` hears how long each block took, in milliseconds. */
export function runStack(
  stack: readonly QARepVGGBlock[],
  images: TensorLike,
  onBlock?: (index: number, time: number) => void,
): Tensor {
  let value: TensorLike = images;
  stack.forEach((block, i) => {
    const start = performance.now();
    value = block.forward(value);
    onBlock?.(i, performance.now() - start);
  });
  return value as Tensor;
}

/** Fresh blocks have a 1x1 of zeros and batch norms that do nothing, which would make fusion too easy. */
function randomise(block: QARepVGGBlock, seed: number): void {
  const random = new Random(seed);
  for (const [name, { data, dims }] of Object.entries(block.parameters())) {
    if (name === 'rbr_1x1.weight') data.set(randn(dims, { seed, std: 1 / Math.sqrt(block.options.inChannels) }).data);
    if (name.endsWith('bn.weight')) random.fillUniform(data, 0.5, 1.5);
    if (name.endsWith('bn.bias')) random.fillNormal(data, 0, 0.2);
  }
}
