// Steps of random graphs: what computes with tensors of any rank.

import { at, count } from './random-graphs.mjs';

/** @typedef {import('./random-graphs.mjs').RandomGraph} RandomGraph */
/** @typedef {import('./random-graphs.mjs').Value} Value */

/** Functions of one number with attributes that say something. @type {Record<string, Record<string, number>>} */
const unary = {
  Relu: {},
  Sigmoid: {},
  Tanh: {},
  HardSigmoid: { alpha: 0.125, beta: 0.625 },
  HardSwish: {},
  Abs: {},
  Neg: {},
  Exp: {},
  Erf: {},
  Softplus: {},
  Softsign: {},
  LeakyRelu: { alpha: 0.125 },
  Elu: { alpha: 0.75 },
  Selu: {},
  Celu: { alpha: 1.5 },
  ThresholdedRelu: { alpha: 0.0001 },
  Sin: {},
  Cos: {},
  Atan: {},
  Asinh: {},

  Identity: {},
};

/** @type {Record<string, (graph: RandomGraph) => Value | undefined>} */
export const tensorSteps = {
  unary(graph) {
    const x = graph.draw.one(graph.values);
    const [op, attributes] = graph.draw.one(Object.entries(unary));
    // Numbers that grow without end say nothing.
    const bounded = ['Exp', 'Sin', 'Cos'].includes(op) ? graph.add('Tanh', [x], [], x.dims) : x;
    return bounded && graph.add(op, [bounded], [], x.dims, attributes);
  },
  clip(graph) {
    const x = graph.draw.one(graph.values);
    const [low, high] = graph.draw.one([
      [0, 6],
      [-1, 1],
      [-0.5, 0.25],
    ]);
    const limits = [graph.scalar(Number(low)), graph.scalar(Number(high))];
    return graph.add('Clip', [x], graph.draw.one([limits, limits.slice(0, 1), ['', String(limits[1])]]), x.dims);
  },
  silu(graph) {
    const x = graph.draw.one(graph.values);
    const gate = graph.add(graph.draw.one(['Sigmoid', 'HardSigmoid']), [x], [], x.dims);
    return gate && graph.add('Mul', graph.draw.chance() ? [x, gate] : [gate, x], [], x.dims);
  },
  gelu(graph) {
    const x = graph.draw.one(graph.values);
    const scaled = graph.add('Div', [x], [graph.scalar(Math.SQRT2)], x.dims);
    const erf = scaled && graph.add('Erf', [scaled], [], x.dims);
    const share = erf && graph.add('Add', [erf], [graph.scalar(1)], x.dims);
    const whole = share && graph.add('Mul', [x, share], [], x.dims);
    return whole && graph.add('Mul', [whole], [graph.scalar(0.5)], x.dims);
  },
  pRelu(graph) {
    const x = graph.draw.one(graph.values);
    const dims = x.dims.map((dim, axis) => (axis === 1 ? dim : 1));
    return graph.add('PRelu', [x], [graph.tensor(graph.draw.chance(0.3) ? [1] : dims.slice(1), 0.3)], x.dims);
  },
  constant(graph) {
    const x = graph.draw.one(graph.values);
    const dims = x.dims.map((dim, axis) => (graph.draw.chance(axis === 1 ? 0.7 : 0.25) ? dim : 1));
    const op = graph.draw.one(['Add', 'Sub', 'Mul', 'Max', 'Min', 'Div']);
    const scalar = graph.draw.chance(0.3);
    if (op === 'Div') return graph.add(op, [x], [graph.positive(scalar ? [] : dims)], x.dims);
    const constant = graph.tensor(scalar ? [] : dims);
    if (graph.draw.chance() || op === 'Max' || op === 'Min') return graph.add(op, [x], [constant], x.dims);
    const name = graph.net.node(op, [constant, x.name]);
    return graph.made([x], name, x.dims);
  },
  binary(graph) {
    const x = graph.draw.one(graph.values);
    const fitting = graph.values.filter(
      ({ dims }) => dims.length <= x.dims.length && dims.every((dim, i) => fits(dim, x.dims.at(i - dims.length))),
    );
    const other = graph.draw.one(fitting);
    const op = graph.draw.one(['Add', 'Add', 'Sub', 'Mul', 'Max', 'Min', 'Div']);
    if (op === 'Div') {
      const divisor = graph.add('Exp', [graph.add('Tanh', [other], [], other.dims) ?? other], [], other.dims);
      return divisor && graph.add(op, [x, divisor], [], x.dims);
    }
    // Products of products overflow.
    const factor = op === 'Mul' ? graph.add('Tanh', [other], [], other.dims) : other;
    return factor && graph.add(op, graph.draw.chance() ? [x, factor] : [factor, x], [], x.dims);
  },
  several(graph) {
    const x = graph.draw.one(graph.values);
    const alike = graph.values.filter(({ dims }) => `${dims}` === `${x.dims}`);
    const others = Array.from({ length: graph.draw.int(0, 3) }, () => graph.draw.one(alike));
    return graph.add(graph.draw.one(['Sum', 'Mean', 'Max', 'Min']), [x, ...others], [], x.dims);
  },
  choice(graph) {
    const x = graph.draw.one(graph.values);
    const limit = graph.draw.one([-0.5, 0, 0.75]);
    const test = graph.net.node(graph.draw.one(['Greater', 'GreaterOrEqual']), [x.name, graph.scalar(limit)]);
    // Without a step where one of two programs rounds differently.
    return graph.made([x], graph.net.node('Where', [test, x.name, graph.scalar(limit)]), x.dims);
  },
  power(graph) {
    const x = graph.draw.one(graph.values);
    const bounded = graph.add('Tanh', [x], [], x.dims);
    if (!bounded || graph.draw.chance()) return bounded && graph.add('Pow', [bounded], [graph.scalar(2)], x.dims);
    const positive = graph.add('Exp', [bounded], [], x.dims);
    const op = graph.draw.one(['Sqrt', 'Log', 'Reciprocal']);
    return positive && graph.add(op, [positive], [], x.dims);
  },
  concat(graph) {
    const x = graph.draw.one(graph.values);
    if (x.dims.length === 0) return undefined;
    const axis = graph.draw.chance(0.6) ? Math.min(1, x.dims.length - 1) : graph.draw.int(0, x.dims.length - 1);
    const fitting = graph.values.filter(
      ({ dims }) => dims.length === x.dims.length && dims.every((dim, i) => i === axis || dim === x.dims[i]),
    );
    const others = Array.from({ length: graph.draw.int(0, 3) }, () => graph.draw.one(fitting));
    const all = [x, ...others];
    const length = all.reduce((sum, { dims }) => sum + Number(dims[axis]), 0);
    return graph.add('Concat', all, [], changed(x.dims, axis, length), {
      axis: graph.draw.chance() ? axis : axis - x.dims.length,
    });
  },
  split(graph) {
    const x = graph.draw.one(graph.values);
    if (x.dims.length === 0) return undefined;
    const axis = graph.draw.int(0, x.dims.length - 1);
    const length = at(x.dims, axis);
    const parts = graph.draw.int(1, Math.min(4, length));
    const cuts = Array.from({ length: parts - 1 }, () => graph.draw.int(1, length - 1)).sort((a, b) => a - b);
    const isEven = length % parts === 0 && graph.draw.chance();
    const sizes = [...cuts, length].map((cut, i) => cut - (i > 0 ? at(cuts, i - 1) : 0));
    if (!isEven && sizes.some((size) => size < 1)) return undefined;
    const inputs = isEven ? [x.name] : [x.name, graph.net.integers(sizes)];
    const names = graph.net.nodes('Split', inputs, parts, { axis });
    const made = names.map((name, i) =>
      graph.made([x], name, changed(x.dims, axis, isEven ? length / parts : at(sizes, i))),
    );
    return made[0];
  },
  slice(graph) {
    const x = graph.draw.one(graph.values);
    const { draw } = graph;
    const axes = x.dims.map((_, axis) => axis).filter(() => draw.chance(0.5));
    if (axes.length === 0) return undefined;
    const dims = [...x.dims];
    const cuts = axes.map((axis) => {
      const length = at(x.dims, axis);
      const step = draw.one([1, 1, 2, 3, -1, -2]);
      const [low, high] = [draw.int(0, length - 1), draw.int(0, length - 1)].sort((a, b) => a - b);
      const [first = 0, last = 0] = [low, high];
      dims[axis] = Math.floor((last - first) / Math.abs(step)) + 1;
      if (step < 0) return [last, first === 0 ? -(2 ** 31) : first - 1, step];
      return draw.chance(0.3)
        ? [first - length, last + 1 === length ? 2 ** 31 - 1 : last + 1, step]
        : [first, last + 1, step];
    });
    const column = (/** @type {number} */ i) => graph.net.integers(cuts.map((cut) => at(cut, i)));
    const named = graph.net.integers(axes.map((axis) => (draw.chance(0.3) ? axis - x.dims.length : axis)));
    return graph.add('Slice', [x], [column(0), column(1), named, column(2)], dims);
  },
  transpose(graph) {
    const x = graph.draw.one(graph.values);
    const perm =
      x.dims.length === 4 && graph.draw.chance(0.7)
        ? graph.draw.one([
            [0, 2, 3, 1],
            [0, 3, 1, 2],
          ])
        : graph.draw.shuffled(x.dims.length);
    return graph.add(
      'Transpose',
      [x],
      [],
      perm.map((axis) => Number(x.dims[axis])),
      { perm },
    );
  },
  reshape(graph) {
    const x = graph.draw.one(graph.values);
    const dims = graph.draw.one([flat(x.dims, 1), flat(x.dims, 2), [...x.dims, 1], [1, ...x.dims]]);
    if (dims.length > 5) return undefined;
    // A zero keeps a dim, -1 stands for what is left.
    const written = dims.map((dim, i) => (dim === x.dims[i] && graph.draw.chance(0.3) ? 0 : dim));
    if (graph.draw.chance(0.3)) written[graph.draw.int(0, dims.length - 1)] = -1;
    return graph.add('Reshape', [x], [graph.net.integers(written)], dims);
  },
  flatten(graph) {
    const x = graph.draw.one(graph.values);
    const axis = graph.draw.int(0, x.dims.length);
    return graph.add('Flatten', [x], [], [count(x.dims.slice(0, axis)), count(x.dims.slice(axis))], { axis });
  },
  squeeze(graph) {
    const x = graph.draw.one(graph.values);
    const ones = x.dims.map((_, axis) => axis).filter((axis) => x.dims[axis] === 1);
    if (ones.length === 0 || graph.draw.chance()) {
      const axis = graph.draw.int(0, x.dims.length);
      const dims = [...x.dims.slice(0, axis), 1, ...x.dims.slice(axis)];
      return dims.length > 5 ? undefined : graph.add('Unsqueeze', [x], [graph.net.integers([axis])], dims);
    }
    const axis = graph.draw.one(ones);
    return graph.add(
      'Squeeze',
      [x],
      [graph.net.integers([axis])],
      x.dims.filter((_, i) => i !== axis),
    );
  },
  expand(graph) {
    const x = graph.draw.one(graph.values);
    if (graph.draw.chance()) {
      const times = x.dims.map(() => graph.draw.one([1, 1, 2, 3]));
      return graph.add(
        'Tile',
        [x],
        [graph.net.integers(times)],
        x.dims.map((dim, i) => dim * at(times, i)),
      );
    }
    const dims = x.dims.map((dim) => (dim === 1 ? graph.draw.int(1, 4) : dim));
    return graph.add('Expand', [x], [graph.net.integers(dims)], dims);
  },
  gemm(graph) {
    const x = graph.value(2);
    if (!x) return undefined;
    const { draw } = graph;
    const [transA, transB] = [draw.chance(0.2), draw.chance(0.7)];
    const [rows = 1, depth = 1] = transA ? [...x.dims].reverse() : x.dims;
    const columns = draw.one([1, 3, 10, 16]);
    const weight = graph.tensor(transB ? [columns, depth] : [depth, columns], 1 / Math.sqrt(depth));
    const bias = draw.chance(0.7) ? [graph.tensor(draw.one([[columns], [1], [rows, columns], [rows, 1]]))] : [];
    const scales = draw.chance(0.7) ? {} : { alpha: 0.75, beta: 1.25 };
    const sides = { ...(transA && { transA: 1 }), ...(transB && { transB: 1 }) };
    return graph.add('Gemm', [x], [weight, ...bias], [rows, columns], { ...sides, ...scales });
  },
  matMul(graph) {
    const x = graph.draw.one(graph.values);
    if (x.dims.length < 2) return undefined;
    const depth = Number(x.dims.at(-1));
    const columns = graph.draw.one([1, 2, 5, 16]);
    const lead = graph.draw.chance(0.7) ? [] : x.dims.slice(0, -2);
    const weight = graph.tensor([...lead, depth, columns], 1 / Math.sqrt(depth));
    return graph.add('MatMul', [x], [weight], [...x.dims.slice(0, -1), columns]);
  },
  attention(graph) {
    const x = graph.value(3);
    if (!x) return undefined;
    const [n = 1, rows = 1, depth = 1] = x.dims;
    const turned = graph.add('Transpose', [x], [], [n, depth, rows], { perm: [0, 2, 1] });
    const scores = turned && graph.add('MatMul', [x, turned], [], [n, rows, rows]);
    const scaled = scores && graph.add('Mul', [scores], [graph.scalar(1 / Math.sqrt(depth))], [n, rows, rows]);
    const weights = scaled && graph.add('Softmax', [scaled], [], [n, rows, rows], { axis: -1 });
    return weights && graph.add('MatMul', [weights, x], [], x.dims);
  },
  softmax(graph) {
    const x = graph.draw.one(graph.values);
    if (x.dims.length === 0) return undefined;
    const axis = graph.draw.int(-x.dims.length, x.dims.length - 1);
    return graph.add(graph.draw.one(['Softmax', 'Softmax', 'LogSoftmax']), [x], [], x.dims, { axis });
  },
  /** Distances as a detector's tail has them: the mean of bins, weighed by softmax. */
  distances(graph) {
    const x = graph.value(4);
    const [n = 1, c = 1, h = 1, w = 1] = x?.dims ?? [];
    if (!x || c % 4 !== 0) return undefined;
    const [bins, places] = [c / 4, h * w];
    const wide = graph.add('Reshape', [x], [graph.net.integers([n, 4, bins, places])], [n, 4, bins, places]);
    const turned = wide && graph.add('Transpose', [wide], [], [n, bins, 4, places], { perm: [0, 2, 1, 3] });
    const weights = turned && graph.add('Softmax', [turned], [], turned.dims, { axis: 1 });
    const steps = graph.net.floats(
      [1, bins, 1, 1],
      Float32Array.from({ length: bins }, (_, i) => i),
    );
    const sum = weights && graph.add('Conv', [weights], [steps], [n, 1, 4, places], { kernel_shape: [1, 1] });
    return sum && graph.add('Reshape', [sum], [graph.net.integers([n, 4, places])], [n, 4, places]);
  },
  layerNorm(graph) {
    const x = graph.draw.one(graph.values);
    const length = Number(x.dims.at(-1) ?? 1);
    // Of few numbers, which may be all alike, the rest is rounding.
    if (length < 8) return undefined;
    const lists = [1, 0.3].map((std) => graph.tensor([length], std));
    if (graph.draw.chance()) return graph.add('LayerNormalization', [x], lists, x.dims, { axis: -1, epsilon: 0.01 });
    const kept = [...x.dims.slice(0, -1), 1];
    const mean = (/** @type {Value} */ of) => graph.add('ReduceMean', [of], [], kept, { axes: [-1] });
    const average = mean(x);
    const centred = average && graph.add('Sub', [x, average], [], x.dims);
    const squares = centred && graph.add('Pow', [centred], [graph.scalar(2)], x.dims);
    const variance = squares && mean(squares);
    const safe = variance && graph.add('Add', [variance], [graph.scalar(0.01)], kept);
    const root = safe && graph.add('Sqrt', [safe], [], kept);
    return root && graph.add('Div', [/** @type {Value} */ (centred), root], [], x.dims);
  },
  reduce(graph) {
    const x = graph.draw.one(graph.values);
    if (x.dims.length < 2) return undefined;
    const { draw } = graph;
    const keepdims = draw.int(0, 1);
    const axes = x.dims.map((_, axis) => axis).filter(() => draw.chance(0.4));
    if (axes.length === 0) axes.push(x.dims.length - 1);
    const dims = x.dims.flatMap((dim, axis) => (axes.includes(axis) ? (keepdims ? [1] : []) : [dim]));
    const named = axes.map((axis) => (draw.chance(0.3) ? axis - x.dims.length : axis));
    if (draw.chance(0.2)) return graph.add('ReduceSum', [x], [graph.net.integers(named)], dims, { keepdims });
    const op = draw.one([
      'ReduceMean',
      'ReduceMean',
      'ReduceMax',
      'ReduceMin',
      'ReduceL1',
      'ReduceL2',
      'ReduceLogSumExp',
    ]);
    return graph.add(op, [x], [], dims, { axes: named, keepdims });
  },
  gather(graph) {
    const x = graph.draw.one(graph.values);
    if (x.dims.length === 0) return undefined;
    const { draw } = graph;
    const axis = draw.int(0, x.dims.length - 1);
    const length = at(x.dims, axis);
    const shape = draw.one([[], [1], [3], [2, 2]]);
    const picks = Array.from({ length: count(shape) }, () => draw.int(-length, length - 1));
    const dims = [...x.dims.slice(0, axis), ...shape, ...x.dims.slice(axis + 1)];
    return dims.length > 5 ? undefined : graph.add('Gather', [x], [graph.net.integers(picks, shape)], dims, { axis });
  },
  topK(graph) {
    const x = graph.draw.one(graph.values);
    if (x.dims.length === 0) return undefined;
    const axis = graph.draw.int(0, x.dims.length - 1);
    const k = graph.draw.int(1, at(x.dims, axis));
    const [values] = graph.net.nodes('TopK', [x.name, graph.net.integers([k])], 2, {
      axis,
      largest: graph.draw.int(0, 1),
    });
    return graph.made([x], String(values), changed(x.dims, axis, k));
  },
  cumSum(graph) {
    const x = graph.draw.one(graph.values);
    if (x.dims.length === 0) return undefined;
    const axis = graph.net.integers([graph.draw.int(0, x.dims.length - 1)], []);
    return graph.add('CumSum', [x], [axis], x.dims, { exclusive: graph.draw.int(0, 1), reverse: graph.draw.int(0, 1) });
  },
};

/** @param {number} dim @param {number | undefined} other */
function fits(dim, other) {
  return dim === 1 || dim === other;
}

/** @param {readonly number[]} dims @param {number} axis @param {number} length */
function changed(dims, axis, length) {
  return dims.map((dim, i) => (i === axis ? length : dim));
}

/** @param {readonly number[]} dims @param {number} rank */
function flat(dims, rank) {
  if (rank === 1 || dims.length < 2) return [count(dims)];
  return [Number(dims[0]), count(dims.slice(1))];
}
