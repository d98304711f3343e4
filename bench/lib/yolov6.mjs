import { NetworkWriter } from './network-writer.mjs';

/** @typedef {import('./network-writer.mjs').Value} Value */

/** Channels of the five stages and of the two levels of the neck that reduce them, for N; S has twice as many. */
const stages = [16, 32, 64, 128, 256];
const strides = [8, 16, 32];
const classes = 80;

/**
 * YOLOv6 3.0 in size N or S as its exporter writes it, with random weights: what it computes is as much work as with trained ones.
 *
 * @param {{ size?: 'n' | 's', side?: number, tail?: boolean, training?: boolean, width?: number, labels?: boolean }} [options]
 *   side: of the images, a multiple of 32; tail: decodes boxes to one output [1, anchors, 85], otherwise scores and boxes of each level are
 *   outputs; training: with branches and batch norms; width: of channels, for a small one in tests
 * @returns {Uint8Array} the bytes of an ONNX file
 */
export function yolov6({
  size = 'n',
  side = 640,
  tail = true,
  training = false,
  width = size === 's' ? 2 : 1,
  labels = false,
} = {}) {
  const net = new NetworkWriter(training);
  const c = (/** @type {number} */ channels) => channels * width;
  const images = net.input('images', [tail ? 1 : 'batch', 3, ...(tail ? [side, side] : ['height', 'width'])]);
  const [p2, p3, p4, p5] = backbone(net, images, stages.map(c));
  const sppf = poolingPyramid(net, p5, c(256));
  const [r0, f0] = fuse(net, sppf, p4, p3, c(64));
  const [r1, f1] = fuse(net, f0, p3, p2, c(32));
  const d1 = down(net, f1, r1, c(32), c(64));
  const d0 = down(net, d1, r0, c(64), c(128));
  const heads = [f1, d1, d0].map((level) => head(net, level));
  const metadata = labels
    ? { names: `{${Array.from({ length: classes }, (_, i) => `${i}: 'class ${i}'`).join(', ')}}` }
    : {};
  if (tail) return net.finish({ outputs: decode(net, heads, side) }, 3, metadata);
  return net.finish(
    Object.fromEntries(
      heads.flatMap(({ scores, boxes }, i) => [
        [`scores_${strides[i]}`, scores],
        [`boxes_${strides[i]}`, boxes],
      ]),
    ),
    4,
    metadata,
  );
}

/** Stages 2 to 5. @param {NetworkWriter} net @param {Value} images @param {readonly number[]} channels @returns {[Value, Value, Value, Value]} */
function backbone(net, images, channels) {
  /** @type {Value[]} */
  const outputs = [];
  let x = images;
  for (const [i, count] of [1, 3, 5, 7, 3].entries()) {
    x = net.blocks(x, Number(channels[i]), count, 2);
    outputs.push(x);
  }
  return /** @type {[Value, Value, Value, Value]} */ (outputs.slice(1));
}

/** SimCSPSPPF @param {NetworkWriter} net @param {Value} x @param {number} channels */
function poolingPyramid(net, x, channels) {
  const half = channels / 2;
  const conv = (/** @type {Value} */ from, /** @type {number} */ to, kernel = 1) =>
    net.conv(from, to, { kernel, activation: 'relu' });
  const a = conv(conv(conv(x, half), half, 3), half);
  const d = conv(x, half);
  const p1 = net.maxPool(a, 5);
  const p2 = net.maxPool(p1, 5);
  const e = conv(conv(net.concat([a, p1, p2, net.maxPool(p2, 5)]), half), half, 3);
  return conv(net.concat([d, e]), channels);
}

/** BiFusion, and the blocks behind it: what was reduced, and the sum. @param {NetworkWriter} net @param {Value} deep @param {Value} same @param {Value} shallow @param {number} channels @returns {[Value, Value]} */
function fuse(net, deep, same, shallow, channels) {
  const conv = (/** @type {Value} */ from, kernel = 1, stride = 1) =>
    net.conv(from, channels, { kernel, stride, activation: 'relu' });
  const reduced = conv(deep);
  const all = net.concat([net.upsample(reduced, channels), conv(same), conv(conv(shallow), 3, 2)]);
  return [reduced, net.blocks(conv(all), channels, 4)];
}

/** @param {NetworkWriter} net @param {Value} x @param {Value} reduced @param {number} channels @param {number} out */
function down(net, x, reduced, channels, out) {
  const half = net.conv(x, channels, { kernel: 3, stride: 2, activation: 'relu' });
  return net.blocks(net.concat([half, reduced]), out, 4);
}

/** @param {NetworkWriter} net @param {Value} x */
function head(net, x) {
  const stem = net.conv(x, x.channels, { activation: 'silu' });
  const branch = (
    /** @type {number} */ channels,
    /** @type {import('./network-writer.mjs').Activation} */ activation,
  ) => net.conv(net.conv(stem, x.channels, { kernel: 3, activation: 'silu' }), channels, { activation }).name;
  return { scores: branch(classes, 'sigmoid'), boxes: branch(4, undefined) };
}

/** Distances from the anchors to the four sides become boxes in pixels. @param {NetworkWriter} net @param {readonly { scores: string, boxes: string }[]} heads @param {number} side */
function decode(net, heads, side) {
  const sides = strides.map((stride) => side / stride);
  const flat = (/** @type {'scores' | 'boxes'} */ what, /** @type {number} */ channels) => {
    const levels = heads.map((one, i) =>
      net.node('Reshape', [one[what], net.integers([1, channels, Number(sides[i]) ** 2])]),
    );
    return net.node('Transpose', [net.node('Concat', levels, { axis: 2 })], { perm: [0, 2, 1] });
  };
  const [scores, distances] = [flat('scores', classes), flat('boxes', 4)];
  const cells = sides.flatMap((count, i) =>
    Array.from({ length: count * count }, (_, at) => ({
      x: (at % count) + 0.5,
      y: Math.floor(at / count) + 0.5,
      stride: Number(strides[i]),
    })),
  );
  const anchors = net.floats([1, cells.length, 2], Float32Array.from(cells.flatMap(({ x, y }) => [x, y])));
  const scale = net.floats(
    [1, cells.length, 1],
    Float32Array.from(cells, ({ stride }) => stride),
  );
  const [before = '', behind = ''] = net.nodes('Split', [distances, net.integers([2, 2])], 2, { axis: -1 });
  const [low, high] = [net.node('Sub', [anchors, before]), net.node('Add', [anchors, behind])];
  const centre = net.node('Div', [net.node('Add', [low, high]), net.floats([], Float32Array.of(2))]);
  const boxes = net.node('Mul', [net.node('Concat', [centre, net.node('Sub', [high, low])], { axis: -1 }), scale]);
  const ones = net.floats([1, cells.length, 1], new Float32Array(cells.length).fill(1));
  return net.node('Concat', [boxes, ones, scores], { axis: -1 });
}
