// Classifiers with random weights, as ONNX files with an open number of images of any size.

import { NetworkWriter } from './network-writer.mjs';

const images = /** @type {const} */ (['batch', 3, 'height', 'width']);

/** ResNet-18; `width` makes a narrow one for tests. @param {{ width?: number, classes?: number }} [options] */
export function resnet18({ width = 64, classes = 1000 } = {}) {
  const net = new NetworkWriter();
  const stem = net.conv(net.input('images', images), width, { kernel: 7, stride: 2, activation: 'relu' });
  let x = net.maxPool(stem, 3, 2);
  for (const [stage, channels] of [1, 2, 4, 8].map((factor) => factor * width).entries()) {
    for (let i = 0; i < 2; i++) {
      const stride = stage > 0 && i === 0 ? 2 : 1;
      const first = net.conv(x, channels, { kernel: 3, stride, activation: 'relu' });
      const second = net.conv(first, channels, { kernel: 3 });
      const other = stride === 1 ? x : net.conv(x, channels, { stride });
      // Halved, so that the sums of many blocks stay as large as what goes in.
      const half = net.node('Mul', [net.node('Add', [second.name, other.name]), net.floats([], Float32Array.of(0.7))]);
      x = { name: net.activation(half, 'relu'), channels };
    }
  }
  return net.finish({ logits: net.classifier(x, classes) }, 2);
}

/** Expansion, channels, blocks, stride of the first. */
const mobileStages = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
];

/** MobileNetV2. @param {{ width?: number, classes?: number }} [options] width: of channels, a fraction for tests */
export function mobilenetV2({ width = 1, classes = 1000 } = {}) {
  const net = new NetworkWriter();
  const c = (/** @type {number} */ channels) => Math.ceil(channels * width);
  let x = net.conv(net.input('images', images), c(32), { kernel: 3, stride: 2, activation: 'relu6' });
  for (const [expansion = 1, channels = 0, count = 0, first = 1] of mobileStages) {
    for (let i = 0; i < count; i++) {
      const [stride, inner] = [i === 0 ? first : 1, expansion * x.channels];
      const wide = expansion === 1 ? x : net.conv(x, inner, { activation: 'relu6' });
      const deep = net.conv(wide, inner, { kernel: 3, stride, groups: inner, activation: 'relu6' });
      const narrow = net.conv(deep, c(channels));
      const isResidual = stride === 1 && x.channels === narrow.channels;
      x = isResidual ? { ...narrow, name: net.node('Add', [x.name, narrow.name]) } : narrow;
    }
  }
  return net.finish({ logits: net.classifier(net.conv(x, c(1280), { activation: 'relu6' }), classes) }, 2);
}
