import { randn } from 'qarepvgg';

/** @param {Float32Array} actual @param {Float32Array} expected */
export function relativeL2(actual, expected) {
  let difference = 0;
  let square = 0;
  expected.forEach((value, i) => {
    difference += (Number(actual[i]) - value) ** 2;
    square += value ** 2;
  });
  return Math.sqrt(difference / square);
}

/** Draws all tensors anew: biases that are not zero, activations that keep their size. @param {import('qarepvgg').Network} network */
export function randomise(network) {
  Object.values(network.parameters()).forEach(({ data, dims }, seed) => {
    const fanIn = dims.slice(1).reduce((product, dim) => product * dim, 1);
    data.set(randn(dims, { seed, std: dims.length === 1 ? 0.1 : Math.sqrt(2 / fanIn) }).data);
  });
  return network;
}
