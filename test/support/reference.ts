import type { CheckedBlockOptions, StateDict } from '../../lib';

/** Doubles in NCHW order. */
export interface Doubles {
  readonly data: Float64Array;
  readonly dims: readonly [n: number, c: number, h: number, w: number];
}

/** Tensors by name, as doubles. */
export type DoubleState = Record<string, Float64Array>;

export function toDoubles(state: StateDict): DoubleState {
  return Object.fromEntries(Object.entries(state).map(([name, { data }]) => [name, Float64Array.from(data)]));
}

/** A block in train form, in plain loops over doubles, written from the paper's formulas. */
export function referenceBlock(
  x: Doubles,
  state: DoubleState,
  options: CheckedBlockOptions,
  training: boolean,
): Doubles {
  const { variant, dilation } = options;
  const get = (name: string): Float64Array => state[name] as Float64Array;
  const norm = (value: Doubles, prefix: string): Doubles => {
    const [gamma, beta] = [get(`${prefix}.weight`), get(`${prefix}.bias`)];
    const running = training ? undefined : [get(`${prefix}.running_mean`), get(`${prefix}.running_var`)];
    return batchNorm(value, gamma, beta, options.eps, running as [Float64Array, Float64Array] | undefined);
  };

  const dense = norm(convolve(x, get('rbr_dense.conv.weight'), 3, dilation, options), 'rbr_dense.bn');
  const normalised = 'rbr_1x1.bn.weight' in state;
  const prefix = normalised ? 'rbr_1x1.conv' : 'rbr_1x1';
  const [alpha] = state.alpha ?? [1];
  let pointwise = map(convolve(x, get(`${prefix}.weight`), 1, 1, options), (value, channel) => {
    return (alpha as number) * (value + (state[`${prefix}.bias`]?.[channel] ?? 0));
  });
  if (normalised) pointwise = norm(pointwise, 'rbr_1x1.bn');

  const branches = [dense, pointwise];
  if (options.inChannels === options.outChannels && options.stride === 1) {
    branches.push('rbr_identity.weight' in state ? norm(x, 'rbr_identity') : x);
    if (options.averageBranch) branches.push(average(x));
  }
  const sum = {
    dims: dense.dims,
    data: dense.data.map((_, i) => total(branches.map(({ data }) => data[i] as number))),
  };
  const output = variant === 'S4' ? norm(sum, 'bn') : sum;
  return options.activation === 'relu' ? map(output, (value) => Math.max(value, 0)) : output;
}

function convolve(
  { data, dims: [n, c, h, w] }: Doubles,
  weight: Float64Array,
  kernel: number,
  dilation: number,
  { outChannels, stride, groups }: CheckedBlockOptions,
): Doubles {
  const padding = kernel === 3 ? dilation : 0;
  const [height, width] = [h, w].map((side) => Math.floor((side - 1) / stride) + 1) as [number, number];
  const inPerGroup = c / groups;
  const result = new Float64Array(n * outChannels * height * width);
  let at = 0;
  for (let image = 0; image < n; image++) {
    for (let o = 0; o < outChannels; o++) {
      const first = Math.floor(o / (outChannels / groups)) * inPerGroup;
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++, at++) {
          for (let tap = 0; tap < kernel * kernel; tap++) {
            const row = y * stride - padding + Math.floor(tap / kernel) * dilation;
            const column = x * stride - padding + (tap % kernel) * dilation;
            if (row < 0 || row >= h || column < 0 || column >= w) continue;
            for (let i = 0; i < inPerGroup; i++) {
              const value = data[((image * c + first + i) * h + row) * w + column] as number;
              (result[at] as number) += value * (weight[(o * inPerGroup + i) * kernel * kernel + tap] as number);
            }
          }
        }
      }
    }
  }
  return { data: result, dims: [n, outChannels, height, width] };
}

/** With statistics of the batch where none are given: the biased variance, as in training. */
function batchNorm(
  value: Doubles,
  gamma: Float64Array,
  beta: Float64Array,
  eps: number,
  running?: readonly [mean: Float64Array, variance: Float64Array],
): Doubles {
  const [mean, variance] = running ?? statistics(value);
  return map(value, (entry, c) => {
    const scale = (gamma[c] as number) / Math.sqrt((variance[c] as number) + eps);
    return scale * (entry - (mean[c] as number)) + (beta[c] as number);
  });
}

function statistics({ data, dims: [n, c, h, w] }: Doubles): [mean: Float64Array, variance: Float64Array] {
  const channels = Array.from({ length: c }, (_, channel) =>
    data.filter((_, i) => Math.floor(i / (h * w)) % c === channel),
  );
  const mean = channels.map((values) => total(values) / (n * h * w));
  const variance = channels.map((values, i) => total(values.map((v) => (v - (mean[i] as number)) ** 2)) / (n * h * w));
  return [Float64Array.from(mean), Float64Array.from(variance)];
}

function average(x: Doubles): Doubles {
  const [, c] = x.dims;
  const ninths = new Float64Array(c * 9).fill(1 / 9);
  const options = { outChannels: c, stride: 1, groups: c } as CheckedBlockOptions;
  return convolve(x, ninths, 3, 1, options);
}

function map({ data, dims }: Doubles, each: (value: number, channel: number) => number): Doubles {
  const [, c, h, w] = dims;
  return { dims, data: data.map((value, i) => each(value, Math.floor(i / (h * w)) % c)) };
}

function total(values: Iterable<number>): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
}
