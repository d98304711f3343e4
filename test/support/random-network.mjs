import { randn } from 'qarepvgg';

/** @param {Float32Array} actual @param {Float32Array} expected */
export function relativeL2(actual, expected) {
  const norm = (/** @type {Float32Array} */ values) => Math.hypot(...values);
  return norm(actual.map((value, i) => value - Number(expected[i]))) / norm(expected);
}

/** Draws all tensors anew: biases that are not zero, activations that keep their size. @param {import('qarepvgg').Network} network */
export function randomise(network) {
  Object.values(network.parameters()).forEach(({ data, dims }, seed) => {
    const fanIn = dims.slice(1).reduce((product, dim) => product * dim, 1);
    data.set(randn(dims, { seed, std: dims.length === 1 ? 0.1 : Math.sqrt(2 / fanIn) }).data);
  });
  return network;
}
