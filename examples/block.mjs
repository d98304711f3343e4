import { QARepVGGBlock, randn, verifyEquivalence } from 'qarepvgg';

const block = new QARepVGGBlock({ inChannels: 64, outChannels: 64, seed: 1 });
const x = randn([8, 64, 56, 56], { seed: 2 });
block.forward(x); // training mode: batch statistics
block.backward(randn([8, 64, 56, 56], { seed: 3 })); // gradients are in block.parameters()

const conv = block.eval().reparameterize(); // 3x3 + 1x1 + identity + batch norms -> one 3x3 convolution
const { relativeL2 } = verifyEquivalence(block, conv).whole;
console.log(`one convolution instead of the block: relative L2 difference ${relativeL2.toExponential(1)}`);
