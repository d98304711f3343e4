// Steps of random graphs: what slides over images and lines, and the patterns that exporters make of it.

import { at, count } from './random-graphs.mjs';

/** @typedef {import('./random-graphs.mjs').RandomGraph} RandomGraph */
/** @typedef {import('./random-graphs.mjs').Value} Value */

/** @type {Record<string, (graph: RandomGraph) => Value | undefined>} */
export const windowSteps = {
  conv(graph) {
    const x = graph.map();
    const window = x && graph.window(x.dims, false);
    if (!x || !window) return undefined;
    const [n = 1, channels = 1] = x.dims;
    const divisors = [1, 2, 3, 4, channels].filter((groups) => channels % groups === 0);
    const group = graph.draw.one(divisors);
    const outputs = group * graph.draw.one([1, 1, 2, 3, 8].filter((factor) => factor * group <= 64));
    const depth = channels / group;
    const weight = graph.tensor([outputs, depth, ...window.kernel], 1 / Math.sqrt(depth * count(window.kernel)));
    const bias = graph.draw.chance() ? [graph.tensor([outputs], 0.2)] : [];
    return graph.add('Conv', [x], [weight, ...bias], [n, outputs, ...window.out], { ...window.attributes, group });
  },
  convTranspose(graph) {
    const x = graph.map();
    if (!x) return undefined;
    const { draw } = graph;
    const [n = 1, channels = 1, ...sides] = x.dims;
    const kernel = sides.map(() => draw.int(1, 5));
    const strides = sides.map(() => draw.int(1, 3));
    const dilations = sides.map(() => (draw.chance(0.8) ? 1 : 2));
    const reach = kernel.map((size, i) => (size - 1) * at(dilations, i) + 1);
    const divisors = [1, 2, channels].filter((groups) => channels % groups === 0);
    const group = draw.one(divisors);
    const outputs = draw.one([1, 2, 4]);
    const weight = graph.tensor([channels, outputs, ...kernel], 1 / Math.sqrt((channels / group) * count(kernel)));
    const bias = draw.chance() ? [graph.tensor([outputs * group], 0.2)] : [];
    const shared = { kernel_shape: kernel, strides, dilations, group };
    const full = sides.map((side, i) => (side - 1) * at(strides, i) + at(reach, i));
    if (draw.chance(0.15)) {
      const auto = draw.one(['SAME_UPPER', 'SAME_LOWER']);
      const out = sides.map((side, i) => side * at(strides, i));
      // Only what the kernel reaches.
      if (out.some((length, i) => length > at(full, i))) return undefined;
      return graph.add('ConvTranspose', [x], [weight, ...bias], [n, outputs * group, ...out], {
        ...shared,
        auto_pad: auto,
      });
    }
    const pads = [...reach, ...reach].map((length) => draw.int(0, Math.min(length - 1, 2)));
    const more = strides.map((stride) => (draw.chance(0.7) ? 0 : draw.int(0, stride - 1)));
    const out = full.map((length, i) => length + at(more, i) - at(pads, i) - at(pads, i + sides.length));
    const attributes = { ...shared, pads, ...(more.some((size) => size > 0) && { output_padding: more }) };
    return graph.add('ConvTranspose', [x], [weight, ...bias], [n, outputs * group, ...out], attributes);
  },
  maxPool(graph) {
    const x = graph.map();
    const window = x && graph.window(x.dims, true);
    return x && window && graph.add('MaxPool', [x], [], [...x.dims.slice(0, 2), ...window.out], window.attributes);
  },
  averagePool(graph) {
    const x = graph.map();
    const window = x && graph.window(x.dims, true);
    if (!x || !window || window.attributes.dilations.some((dilation) => dilation > 1)) return undefined;
    const { dilations: _, ...shared } = window.attributes;
    const attributes = { ...shared, count_include_pad: graph.draw.int(0, 1) };
    return graph.add('AveragePool', [x], [], [...x.dims.slice(0, 2), ...window.out], attributes);
  },
  globalPool(graph) {
    const x = graph.map();
    const op = graph.draw.one(['GlobalAveragePool', 'GlobalMaxPool']);
    return (
      x &&
      graph.add(
        op,
        [x],
        [],
        x.dims.map((dim, axis) => (axis < 2 ? dim : 1)),
      )
    );
  },
  batchNorm(graph) {
    const x = graph.map();
    return x && graph.normalized(x);
  },
  instanceNorm(graph) {
    const x = graph.map();
    // Of few numbers, which may be all alike, the rest is rounding.
    if (!x || count(x.dims.slice(2)) < 8) return undefined;
    const channels = Number(x.dims[1]);
    const lists = [1, 0.3].map((std) => graph.tensor([channels], std));
    return graph.add('InstanceNormalization', [x], lists, x.dims, { epsilon: 0.01 });
  },
  branches(graph) {
    const x = graph.value(4);
    if (!x) return undefined;
    const [, channels = 1] = x.dims;
    const group = graph.draw.chance(0.7) ? 1 : channels;
    const stride = graph.draw.int(1, 2);
    const dims = x.dims.map((dim, axis) => (axis < 2 ? dim : Math.ceil(dim / stride)));
    const square = (/** @type {number} */ side) => {
      const half = Math.floor(side / 2);
      const weight = graph.tensor([channels, channels / group, side, side], 1 / Math.sqrt((channels / group) * side));
      const attributes = {
        kernel_shape: [side, side],
        pads: [half, half, half, half],
        strides: [stride, stride],
        group,
      };
      const sum = graph.add('Conv', [x], [weight], dims, attributes);
      return sum && graph.draw.chance() ? graph.normalized(sum) : sum;
    };
    const [a, b] = [square(3), square(1)];
    const sum = a && b && graph.add('Add', [a, b], [], dims);
    if (!sum || stride > 1 || graph.draw.chance()) return sum;
    const same = graph.draw.chance() ? graph.normalized(x) : x;
    return same && graph.add('Add', [sum, same], [], dims);
  },
  squeezeExcite(graph) {
    const x = graph.value(4);
    if (!x) return undefined;
    const [n = 1, c = 1] = x.dims;
    const mean = graph.add('GlobalAveragePool', [x], [], [n, c, 1, 1]);
    const pointwise = { kernel_shape: [1, 1] };
    const less = mean && graph.add('Conv', [mean], [graph.tensor([2, c, 1, 1])], [n, 2, 1, 1], pointwise);
    const active = less && graph.add('Relu', [less], [], less.dims);
    const more = active && graph.add('Conv', [active], [graph.tensor([c, 2, 1, 1])], [n, c, 1, 1], pointwise);
    const gate = more && graph.add(graph.draw.one(['Sigmoid', 'HardSigmoid']), [more], [], more.dims);
    return gate && graph.add('Mul', graph.draw.chance() ? [x, gate] : [gate, x], [], x.dims);
  },
  resize(graph) {
    const x = graph.map();
    if (!x) return undefined;
    const { draw } = graph;
    const mode = draw.one(
      x.dims.length === 4 ? ['nearest', 'nearest', 'linear', 'linear', 'cubic'] : ['nearest', 'linear'],
    );
    const sides = x.dims.slice(2);
    const [coordinates, nearest] = [
      draw.one(
        mode === 'nearest' ? ['asymmetric'] : ['half_pixel', 'align_corners', 'asymmetric', 'pytorch_half_pixel'],
      ),
      draw.one(['floor', 'ceil', 'round_prefer_floor', 'round_prefer_ceil']),
    ];
    const attributes = {
      mode,
      coordinate_transformation_mode: coordinates,
      ...(mode === 'nearest' && { nearest_mode: nearest }),
    };
    if (draw.chance(0.4)) {
      // Other factors than these round differently where a coordinate lies between two pixels.
      const lengths = sides.map((side) => (mode === 'nearest' ? side * draw.one([1, 2, 4]) : draw.int(1, 2 * side)));
      const dims = [...x.dims.slice(0, 2), ...lengths];
      return graph.add('Resize', [x], ['', '', graph.net.integers(dims)], dims, attributes);
    }
    const factors = sides.map(() => draw.one(mode === 'nearest' ? [1, 2, 3, 0.5] : [1, 2, 3, 0.5, 1.5]));
    const dims = [...x.dims.slice(0, 2), ...sides.map((side, i) => Math.floor(side * at(factors, i)))];
    const scales = graph.net.floats([dims.length], Float32Array.of(1, 1, ...factors));
    return graph.add('Resize', [x], ['', scales], dims, attributes);
  },
  pad(graph) {
    const x = graph.draw.chance(0.7) ? graph.map() : graph.draw.one(graph.values);
    if (!x || x.dims.length === 0) return undefined;
    const { draw } = graph;
    const mode = draw.one(['constant', 'constant', 'edge', 'reflect']);
    const isFree = (/** @type {number} */ axis) => x.dims.length < 3 || axis >= 2;
    const amount = (/** @type {number} */ axis) => {
      const most = mode === 'reflect' ? Math.min(2, at(x.dims, axis) - 1) : 2;
      const low = mode === 'constant' && at(x.dims, axis) > 4 && draw.chance(0.2) ? -1 : 0;
      return isFree(axis) ? draw.int(low, most) : 0;
    };
    const [begins, ends] = [0, 1].map(() => x.dims.map((_, axis) => amount(axis)));
    const pads = [.../** @type {number[]} */ (begins), .../** @type {number[]} */ (ends)];
    const dims = x.dims.map((dim, i) => dim + at(pads, i) + at(pads, i + x.dims.length));
    const value = mode === 'constant' && draw.chance(0.3) ? [graph.scalar(0.5)] : [];
    return graph.add('Pad', [x], [graph.net.integers(pads), ...value], dims, { mode });
  },
  shuffle(graph) {
    const x = graph.value(4);
    const [n = 1, c = 1, h = 1, w = 1] = x?.dims ?? [];
    if (!x || c % 2 !== 0) return undefined;
    const wide = graph.add('Reshape', [x], [graph.net.integers([n, 2, c / 2, h, w])], [n, 2, c / 2, h, w]);
    const turned = wide && graph.add('Transpose', [wide], [], [n, c / 2, 2, h, w], { perm: [0, 2, 1, 3, 4] });
    return turned && graph.add('Reshape', [turned], [graph.net.integers(x.dims)], x.dims);
  },
  depthToSpace(graph) {
    const x = graph.value(4);
    const [n = 1, c = 1, h = 1, w = 1] = x?.dims ?? [];
    const size = graph.draw.int(2, 3);
    if (x && h % size === 0 && w % size === 0 && graph.draw.chance()) {
      return graph.add('SpaceToDepth', [x], [], [n, c * size * size, h / size, w / size], { blocksize: size });
    }
    if (!x || c % (size * size) !== 0) return undefined;
    return graph.add('DepthToSpace', [x], [], [n, c / (size * size), size * h, size * w], {
      blocksize: size,
      mode: graph.draw.one(['DCR', 'CRD']),
    });
  },
  /** The block of newer YOLO networks: half of the channels goes through, all are joined. */
  splitJoin(graph) {
    const x = graph.value(4);
    const [n = 1, c = 1, ...sides] = x?.dims ?? [];
    if (!x || c % 2 !== 0) return undefined;
    const half = [n, c / 2, ...sides];
    const sizes = graph.net.integers([c / 2, c / 2]);
    const [a, b] = graph.net.nodes('Split', [x.name, sizes], 2, { axis: 1 }).map((name) => graph.made([x], name, half));
    if (!a || !b) return undefined;
    const weight = graph.tensor([c / 2, c / 2, 3, 3], 1 / Math.sqrt(c * 4.5));
    const sum = graph.add('Conv', [b], [weight], half, { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
    const gate = sum && graph.add('Sigmoid', [sum], [], half);
    const active = gate && graph.add('Mul', [sum, gate], [], half);
    const parts = active && [a, b, active];
    return parts && graph.add('Concat', parts, [], [n, (3 * c) / 2, ...sides], { axis: 1 });
  },
};
