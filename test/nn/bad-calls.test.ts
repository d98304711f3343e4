import { Conv2d, QARepVGGBlock, randn, type Tensor, type TensorLike, verifyEquivalence } from '../../lib';
import { randomBlock } from '../support/blocks';
import { bits } from '../support/compare';
import { detached, foreignFloats, type Hostile, hostileData, hostileDims } from '../support/hostile';
import { expectRefusal, expectRejection } from '../support/refusal';

const options = { inChannels: 3, outChannels: 3 };
const dims = [1, 3, 2, 4];
const x = randn(dims, { seed: 1 });
const block = randomBlock(options, 1, { minVariance: 0.5, maxVariance: 2 });
const right = bits(block.forward(x));
const rightGradient = (() => {
  block.forward(x, { grad: true });
  return bits(block.backward(x));
})();

/** Tensors that are broken, and tensors that are sound but do not fit. */
const badTensors: Hostile[] = [
  ...hostileDims.map(([title, code, message, make]): Hostile => {
    return [`dims: ${title}`, code, message, () => ({ data: new Float32Array(24), dims: make() })];
  }),
  ...hostileData.map(([title, code, message, make]): Hostile => {
    return [`data: ${title}`, code, message, () => ({ data: make(), dims })];
  }),
  ['nothing', 'ERR_INVALID_ARG', 'received undefined', () => undefined],
  ['null', 'ERR_INVALID_ARG', 'received null', () => null],
  ['a number', 'ERR_INVALID_ARG', 'received 5', () => 5],
  ['bare data', 'ERR_SHAPE', 'dims', () => new Float32Array(24)],
  ['a getter that throws', 'ERR_INVALID_ARG', 'throws', throwing],
  ['a getter that detaches the data', 'ERR_BUFFER_DETACHED', 'detached', detaching],
];

/** Sound tensors that are no images for the block. */
const misfits: Hostile[] = [
  ['rank 0', 'ERR_SHAPE', '4 dims', () => randn([])],
  ['rank 1', 'ERR_SHAPE', '4 dims', () => randn([24])],
  ['rank 2', 'ERR_SHAPE', '4 dims', () => randn([3, 8])],
  ['rank 3', 'ERR_SHAPE', 'received [3, 2, 4]', () => randn([3, 2, 4])],
  ['rank 5', 'ERR_SHAPE', '4 dims', () => randn([1, 1, 3, 2, 4])],
  ['other channels', 'ERR_SHAPE', '3 channels', () => randn([1, 4, 3, 2])],
  ['channels last', 'ERR_SHAPE', 'received [1, 2, 4, 3]', () => randn([1, 2, 4, 3])],
];

function throwing(): unknown {
  return Object.defineProperty({ data: x.data }, 'dims', {
    get() {
      throw new Error('thrown by the caller');
    },
  });
}

function detaching(): unknown {
  const data = new Float32Array(24);
  return Object.defineProperty({ data }, 'dims', {
    get() {
      detached(data);
      return dims;
    },
  });
}

describe('forward', () => {
  test.each([...badTensors, ...misfits])('%s', (_, code, message, make) => {
    const run = () => block.forward(make() as Tensor);
    expectRefusal(run, code, 'QARepVGGBlock.forward, input');
    expectRefusal(run, code, message);
    expect(bits(block.forward(x))).toBe(right);
  });

  test.each([[{ grad: 1 }], [{ gradient: true }], [5], [null]])('options %p', (bad) => {
    const call = () => block.forward(x, bad as unknown as { grad: boolean });
    expectRefusal(call, 'ERR_INVALID_ARG', 'QARepVGGBlock.forward, option');
    expect(bits(block.forward(x, undefined))).toBe(right);
  });
});

describe('forwardAsync', () => {
  test.each([...badTensors, ...misfits])('%s', async (_, code, message, make) => {
    await expectRejection(block.forwardAsync(make() as Tensor), code, message);
    expect(bits(await block.forwardAsync(x))).toBe(right);
  });

  test('an input that changes after the call does not reach the computation', async () => {
    for (const change of [(data: Float32Array) => data.fill(Number.NaN), detached]) {
      const copy = { data: x.data.slice(), dims: [...dims] };
      const pending = block.forwardAsync(copy);
      change(copy.data);
      copy.dims[0] = 99;
      expect(bits(await pending)).toBe(right);
    }
  });

  test('weights that change after the call do not reach it either', async () => {
    const one = randomBlock(options, 1, { minVariance: 0.5, maxVariance: 2 });
    const pending = one.forwardAsync(x);
    for (const { data } of Object.values(one.parameters())) data.fill(Number.NaN);
    const second = one.forwardAsync(x);
    one.loadStateDict(block.stateDict());
    const third = one.forwardAsync(x);
    one.switchToDeploy();
    expect(bits(await pending)).toBe(right);
    expect((await second).data.every(Number.isNaN)).toBe(true);
    expect(bits(await third)).toBe(right);
  });

  test('ten thousand at once, with synchronous calls between them', async () => {
    const inputs = Array.from({ length: 12 }, (_, seed) => randn([1, 3, 3 + (seed % 3), 4], { seed }));
    const expected = inputs.map((input) => bits(block.forward(input)));
    const pending = Array.from({ length: 10_000 }, (_, i) => {
      if (i % 1000 === 0) expect(bits(block.forward(x))).toBe(right);
      return block.forwardAsync(inputs[i % 12] as Tensor);
    });
    const results = (await Promise.all(pending)).map((output) => bits(output));
    expect(results).toEqual(results.map((_, i) => expected[i % 12]));
  });
});

describe('backward', () => {
  const other: Hostile = ['dims of another output', 'ERR_SHAPE', '[1, 3, 2, 4]', () => randn([1, 3, 4, 2])];

  test.each([...badTensors, other])('%s', (_, code, message, make) => {
    block.forward(x, { grad: true });
    const run = () => block.backward(make() as Tensor);
    expectRefusal(run, code, 'QARepVGGBlock.backward, gradOutput');
    expectRefusal(run, code, message);
    expect(bits(block.backward(x))).toBe(rightGradient);
  });
});

describe('what is accepted', () => {
  test('arrays of another realm, parts of larger arrays, objects with more in them', () => {
    const foreign = foreignFloats();
    foreign.set(x.data);
    const part = new Float32Array(100);
    part.set(x.data, 7);
    const like = { data: x.data, dims: Object.freeze([...dims]), type: 'float32', location: 'cpu', size: 24 };
    for (const input of [{ data: foreign, dims }, { data: part.subarray(7, 31), dims }, like] as TensorLike[]) {
      expect(bits(block.forward(input))).toBe(right);
    }
  });

  test('a getter that answers differently each time is asked once', () => {
    let reads = 0;
    const changing = Object.defineProperty({ data: x.data }, 'dims', { get: () => (reads++ === 0 ? dims : [9, 9]) });
    expect(bits(block.forward(changing as unknown as Tensor))).toBe(right);
  });

  test('the input may be the output of before, and a parameter, and both gradients at once', () => {
    const twin = () => randomBlock(options, 1, { minVariance: 0.5, maxVariance: 2 });
    const chained = block.forward(block.forward(x));
    expect(bits(chained)).toBe(bits(twin().forward(twin().forward(x))));

    // 81 weights of the 3x3 as three channels of 9 x 3, read while training writes statistics beside them.
    const [live, copied] = [twin().train(), twin().train()];
    const view = (one: typeof live) => ({ data: one.parameters()['rbr_dense.conv.weight']?.data, dims: [1, 3, 9, 3] });
    const copy = { data: view(copied).data?.slice(), dims: [1, 3, 9, 3] };
    expect(bits(live.forward(view(live) as Tensor))).toBe(bits(copied.forward(copy as Tensor)));
    const gradient = live.parameters()['rbr_dense.conv.weight']?.grad.fill(1) as Float32Array;
    copied.parameters()['rbr_dense.conv.weight']?.grad.fill(1);
    const ones = new Float32Array(81).fill(1);
    expect(bits(live.backward({ data: gradient, dims: [1, 3, 9, 3] }))).toBe(
      bits(copied.backward({ data: ones, dims: [1, 3, 9, 3] })),
    );
    expect(live.parameters()).toEqual(copied.parameters());
  });

  test('NaN passes through ReLU, infinities and the rest as IEEE 754 has it', () => {
    const conv = new Conv2d({ inChannels: 1, outChannels: 1, kernelSize: 1, bias: false, activation: 'relu' });
    conv.parameters().weight?.data.set([1]);
    const values = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e-45, -1e-45, 3.4e38, -3.4e38];
    const run = () => conv.forward({ data: new Float32Array(values), dims: [1, 1, 1, 7] }).data;
    const inf = Number.POSITIVE_INFINITY;
    expect(run()).toEqual(new Float32Array([Number.NaN, inf, 0, 1e-45, 0, 3.4e38, 0]));
    expect(bits(block.forward(x))).toBe(right);
  });
});

describe('Conv2d', () => {
  test.each([
    [{ kernelSize: 3 }, [1, 3, 2, 5]],
    [{ kernelSize: 3, dilation: 3, padding: 2 }, [1, 3, 2, 7]],
    [{ kernelSize: 3, dilation: 256, padding: 255 }, [1, 3, 2, 2]],
  ] as const)('%p: an image smaller than the kernel', (more, size) => {
    const conv = new Conv2d({ ...options, ...more });
    expectRefusal(() => conv.forward(randn(size)), 'ERR_SHAPE', 'an image of at least');
    expect(conv.forward(randn([1, 3, 9, 9])).dims).toEqual([1, 3, 7, 7]);
  });

  test.each([
    [{ kernelSize: 3, padding: 5 }, [1, 3, 1, 1], [1, 3, 9, 9]],
    [{ kernelSize: 1, padding: 2, stride: 2 }, [1, 3, 1, 1], [1, 3, 3, 3]],
    [{ kernelSize: 3, dilation: 256, padding: 256 }, [1, 3, 1, 2], [1, 3, 1, 2]],
    [{ kernelSize: 3, stride: 2 }, [2, 3, 8, 3], [2, 3, 3, 1]],
  ] as const)('%p of %p', (more, size, expected) => {
    expect(new Conv2d({ ...options, ...more }).forward(randn(size)).dims).toEqual(expected);
  });
});

describe('verifyEquivalence', () => {
  const conv = () => block.reparameterize();

  test.each([...badTensors, ...misfits])('inputs: %s', (_, code, message, make) => {
    expectRefusal(() => verifyEquivalence(block, conv(), { inputs: [x, make() as Tensor] }), code, message);
  });

  test.each([
    ['samples', { samples: 0 }],
    ['seed', { seed: -1 }],
    ['inputs', { inputs: [] }],
    ['inputs', { inputs: 5 }],
    ['inputs', { inputs: null }],
    ['"sample"', { sample: 5 }],
  ])('option %s', (name, bad) => {
    expectRefusal(() => verifyEquivalence(block, conv(), bad as object), 'ERR_INVALID_ARG', name);
  });

  test('training mode, other channels, other outputs, something else', () => {
    const wide = new Conv2d({ inChannels: 4, outChannels: 3 }).eval();
    const plain = new Conv2d({ ...options }).eval();
    const fresh = new QARepVGGBlock(options);
    expectRefusal(() => verifyEquivalence(block, fresh), 'ERR_INVALID_STATE', 'second module');
    expectRefusal(() => verifyEquivalence(fresh, block), 'ERR_INVALID_STATE', 'call eval() first');
    expectRefusal(() => verifyEquivalence(block, wide), 'ERR_SHAPE', '4 channels');
    expectRefusal(() => verifyEquivalence(block, plain), 'ERR_SHAPE', 'verifyEquivalence, output dims');
    expectRefusal(() => verifyEquivalence(block, {} as typeof block), 'ERR_INVALID_ARG', 'second module');
  });

  test('outputs that are not finite have no difference', () => {
    const broken = conv();
    broken.parameters().bias?.data.fill(Number.NaN);
    expectRefusal(() => verifyEquivalence(block, broken), 'ERR_NON_FINITE', 'finite');
  });
});
