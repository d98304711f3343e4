import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { runInThisContext } from 'node:vm';
import type { FuseSpec, GraphSpec, TrainerSpec } from '../../binding';
import { randn } from '../../lib';
import { addon } from '../../lib/binding';
import { windowAttributes } from '../support/window';

// The raw addon, given objects whose getters take the memory of arrays away. Memory that is transferred lives on in another
// array, which is written to here: an addon that had kept its address would compute with what is written.

const garbage = 7;

declare const WebAssembly: { Memory: new (limits: { initial: number }) => { buffer: ArrayBuffer } };

/** Takes the memory away and writes other numbers to it. */
function steal(array: Float32Array): Float32Array {
  if (array.byteLength === 0) return array;
  return structuredClone(array, { transfer: [array.buffer as ArrayBuffer] }).fill(garbage);
}

/** The same with a getter for every property; `onRead` sees every read, those of nested objects too. */
function watched<T extends object>(object: T, onRead: () => void): T {
  const result = Array.isArray(object) ? [] : {};
  for (const [name, value] of Object.entries(object)) {
    const isPlain = typeof value === 'object' && value !== null && !ArrayBuffer.isView(value);
    const get = () => {
      onRead();
      return isPlain ? watched(value, onRead) : value;
    };
    Object.defineProperty(result, name, { get, enumerable: true });
  }
  return result as T;
}

const floats = (length: number, seed: number): Float32Array => {
  return randn([length], { seed }).data.map((value) => Math.abs(value) + 0.5);
};

interface Call {
  /** Every array that the addon is given. */
  readonly arrays: Float32Array[];
  /** What comes out, or goes to the arrays. */
  run(watch: <T extends object>(spec: T) => T): unknown;
}

function fusion(): Call {
  const norm = (seed: number) => ({
    weight: floats(2, seed),
    bias: floats(2, seed + 1),
    runningMean: floats(2, seed + 2),
    runningVar: floats(2, seed + 3),
    eps: 1e-5,
  });
  const dense = { kernel: 3, weight: floats(36, 5), bias: floats(2, 6), scale: 1.5 };
  const norms = [norm(1), norm(7), norm(11)] as const;
  const spec: FuseSpec = {
    inChannels: 2,
    outChannels: 2,
    groups: 1,
    postBatchNorm: norms[0],
    branches: [
      { kind: 'conv', ...dense, batchNorm: norms[1] },
      { kind: 'identity', batchNorm: norms[2] },
    ],
  };
  const [weight, bias] = [new Float32Array(36), new Float32Array(2)];
  const ofNorms = norms.flatMap((one) => [one.weight, one.bias, one.runningMean, one.runningVar]);
  return {
    arrays: [...ofNorms, dense.weight, dense.bias, weight, bias],
    run(watch) {
      addon.fuse(watch(spec), weight, bias);
      return [...weight, ...bias];
    },
  };
}

const conv = {
  op: 'conv',
  name: 'conv',
  inputs: [0, 1, 2],
  attributes: windowAttributes({ kernel: 1, stride: 1, padding: 0, dilation: 1, groups: 1 }),
};
const [weightDims, biasDims] = [[2, 2, 1, 1], [2]];
const sessionSpec = (state: Float32Array): GraphSpec => {
  const image = { type: 'float32', dims: [1, 2, 3, 3] } as const;
  return {
    inputs: [image],
    constants: [
      { type: 'float32', dims: weightDims, data: state.subarray(0, 4), take: true },
      { type: 'float32', dims: biasDims, data: state.subarray(4), take: true },
    ],
    nodes: [{ ...conv, outputs: [image] }],
    outputs: [3],
    independent: true,
    algorithm: 'auto',
    threads: 0,
    byteScale: floats(2, 2),
    byteShift: floats(2, 3),
  };
};

function session(): Call {
  const state = floats(6, 1);
  const spec = sessionSpec(state);
  const images = new Uint8Array(18).map((_, i) => i);
  return {
    arrays: [state, spec.byteScale as Float32Array, spec.byteShift as Float32Array],
    run: async (watch) => [...((await addon.createSession(watch(spec))).runSync([images], 1)[0] as Float32Array)],
  };
}

function trainer(): Call {
  const state = floats(6, 1);
  const spec: TrainerSpec = {
    input: [1, 2, 1, 1],
    tensors: [
      { offset: 0, dims: weightDims },
      { offset: 4, dims: biasDims },
    ],
    nodes: [conv],
    stateLength: 6,
    optimizer: 'sgd',
    momentum: 0,
    nesterov: false,
    beta2: 0,
    epsilon: 0,
    labelSmoothing: 0,
    clipNorm: 0,
    parameters: [{ offset: 0, length: 6 }],
    decayed: [],
    customL2: [],
    byteScale: floats(2, 2),
    byteShift: floats(2, 3),
  };
  const images = new Uint8Array([1, 2]);
  return {
    arrays: [state, spec.byteScale as Float32Array, spec.byteShift as Float32Array],
    async run(watch) {
      const native = new addon.Trainer(watch(spec), state);
      await native.step(images, new Int32Array([1]), undefined, 0.1, 0);
      const after = new Float32Array(6);
      native.readState(after);
      return [...after];
    },
  };
}

const graphSpec: GraphSpec = {
  inputs: ['a', 'b'].map(() => ({ type: 'float32' as const, dims: [1, 6] })),
  constants: [],
  nodes: [
    {
      op: 'binary',
      name: 'sum',
      inputs: [0, 1],
      outputs: [{ type: 'float32', dims: [1, 6] }],
      attributes: { kind: 'add' },
    },
  ],
  outputs: [2],
  independent: true,
  algorithm: 'auto',
  threads: 0,
};

function graph(): Call {
  const data = floats(6, 1);
  const { inputs, nodes } = graphSpec;
  const spec: GraphSpec = {
    ...graphSpec,
    inputs: inputs.slice(1),
    constants: [{ type: 'float32', dims: [1, 6], data }],
    nodes,
  };
  return {
    arrays: [data],
    async run(watch) {
      const native = await addon.createSession(watch(spec));
      return [...((await native.run([floats(6, 2)], 1).promise)[0] as Float32Array)];
    },
  };
}

const calls: [string, () => Call][] = [
  ['fuse', fusion],
  ['createSession', session],
  ['Trainer', trainer],
  ['createSession, copying', graph],
];

describe.each(calls)('%s', (_, make) => {
  test('an array that any getter detaches is refused or was copied before', async () => {
    let reads = 0;
    const right = await make().run((spec) => watched(spec, () => reads++));
    expect(reads).toBeGreaterThan(10);
    let refusals = 0;
    const { length } = make().arrays;
    for (const [when, which] of Array.from({ length: reads * length }, (_, i) => [i % reads, Math.floor(i / reads)])) {
      const { arrays, run } = make();
      let reads = 0;
      const onRead = () => {
        if (reads++ === when) steal(arrays[which as number] as Float32Array);
      };
      const outcome = await (async () => run((spec) => watched(spec, onRead)))().catch((error) => error.code);
      if (outcome === 'ERR_BUFFER_DETACHED') refusals++;
      else expect([when, which, outcome]).toEqual([when, which, right]);
    }
    expect(refusals).toBeGreaterThan(0);
  });
});

describe('createSession', () => {
  test('weights in a large buffer are taken from the caller, who can no longer free them', async () => {
    const large = new Float32Array(2 ** 14);
    const { run, arrays } = session();
    large.set(arrays[0] as Float32Array);
    const right = await run((spec) => spec);
    const pending = addon.createSession(sessionSpec(large.subarray(0, 6)));
    expect(large.length).toBe(0);
    const images = new Uint8Array(18).map((_, i) => i);
    expect([...((await pending).runSync([images], 1)[0] as Float32Array)]).toEqual(right);
  });

  test('part of a larger array', async () => {
    const large = new Float32Array(20);
    const { run, arrays } = session();
    large.set(arrays[0] as Float32Array, 9);
    const right = await run((spec) => spec);
    const native = await addon.createSession(sessionSpec(large.subarray(9, 15)));
    const images = new Uint8Array(18).map((_, i) => i);
    expect([...(native.runSync([images], 1)[0] as Float32Array)]).toEqual(right);
  });

  test('memory that cannot be taken is refused', () => {
    const state = new Float32Array(new WebAssembly.Memory({ initial: 1 }).buffer, 0, 6);
    const create = () => addon.createSession(sessionSpec(state));
    expect(create).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG' }));
  });
});

describe('inputs of a graph that are getters', () => {
  const inputs = (first: (inputs: Float32Array[]) => void): Float32Array[] => {
    const array = [floats(6, 1), floats(6, 2)];
    const [value] = array;
    Object.defineProperty(array, 0, {
      get() {
        first(array);
        return value;
      },
    });
    return array;
  };

  test('that dispose the session: the run keeps what it needs', async () => {
    const right = (
      await (
        await addon.createSession(graphSpec)
      ).run(
        inputs(() => 0),
        1,
      ).promise
    )[0];
    for (let i = 0; i < 20; i++) {
      const native = await addon.createSession(graphSpec);
      expect(
        (
          await native.run(
            inputs(() => native.dispose()),
            1,
          ).promise
        )[0],
      ).toEqual(right);
    }
  });

  test('that shorten the array', async () => {
    const native = await addon.createSession(graphSpec);
    const run = () =>
      native.run(
        inputs((array) => array.pop()),
        1,
      );
    expect(run).toThrow(expect.objectContaining({ code: 'ERR_DTYPE' }));
  });
});

test('setters of Object.prototype do not see results', async () => {
  // That of the realm which the addon was loaded into; jest's own is another.
  const prototype = runInThisContext('Object.prototype') as Record<string, unknown>;
  const seen: unknown[] = [];
  const native = await addon.createSession(sessionSpec(floats(6, 1)));
  for (const name of ['promise', 'ticket']) {
    Object.defineProperty(prototype, name, { set: (value) => seen.push(value), configurable: true });
  }
  try {
    const { promise, ticket } = native.run([new Float32Array(18)], 1);
    expect([typeof ticket, (await promise)[0]?.length]).toEqual(['number', 18]);
  } finally {
    for (const name of ['promise', 'ticket']) delete prototype[name];
  }
  expect(seen).toEqual([]);
});

test('properties and memory of JavaScript are read in one file of the addon', () => {
  const folder = path.join(__dirname, '../..', 'native', 'binding');
  const reads = /\.Get\(|napi_get_\w*(property|element|typedarray|arraybuffer|buffer|dataview)\w*\(|\.Data\(\)/g;
  const found = readdirSync(folder).filter((name) => {
    const text = readFileSync(path.join(folder, name), 'utf8').replaceAll(/External<\w+>>\(\)\.Data\(\)/g, '');
    return reads.test(text);
  });
  expect(found).toEqual(['arguments.cc']);
});
