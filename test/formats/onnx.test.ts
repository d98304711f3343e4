import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import {
  type ArchitectureName,
  Conv2d,
  createModel,
  exportOnnx,
  InferenceSession,
  importOnnx,
  loadModel,
  type Network,
  type NetworkOptions,
  QARepVGGBlock,
  QARepVGGError,
  type QuantizedModel,
  quantize,
  randn,
  saveModel,
} from '../../lib';
import { parseOnnx, serializeOnnx } from '../../lib/formats/onnx/document';
import { type Graph, modelFields, type Node } from '../../lib/formats/onnx/schema';
import { type Draft, decode, encode, many, one } from '../../lib/formats/onnx/wire';
import { sizeOf } from '../../lib/image-size';
import { bits } from '../support/compare';
import { outcome, temporaryFolder } from '../support/formats';
import { deployNetwork, smallOptions, tiny } from '../support/networks';
import { expectRefusal, expectRejection } from '../support/refusal';

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);

describe('a network comes back from its file', () => {
  test.each([
    ['qarepvgg_a0', smallOptions],
    ['qarepvgg_b1g4', smallOptions],
    ['qarepvgg_d2se', smallOptions],
    ['qarepvgg_a0', { ...tiny, inputSize: [16, 33] }],
    ['repvgg_b1g2', { ...tiny, strides: [1, 2, 1, 2, 1], channels: [4, 4, 8, 12, 16] }],
    [
      'qarepvgg_a0',
      { ...tiny, labels: ['a', 'é', '日本', '', '__proto__'], preprocessing: { mean: [0, 1], std: [1, 2] } },
    ],
  ] as [ArchitectureName, NetworkOptions][])('%s', async (name, options) => {
    const model = deployNetwork(name, options);
    await exportOnnx(model, file('model.onnx'));
    const back = await importOnnx<Network>(file('model.onnx'));
    expect(back.options).toEqual(model.options);
    expect([back.form, back.training]).toEqual(['deploy', false]);
    const x = randn([2, model.options.inChannels, ...sizeOf(model.options.inputSize)]);
    expect(bits(back.forward(x))).toBe(bits(model.forward(x)));
    expect(Buffer.compare(serializeOnnx(back), readFileSync(file('model.onnx')))).toBe(0);
  });

  test('and a session from the file, of either kind', async () => {
    const model = deployNetwork();
    await exportOnnx(model, file('session.ONNX'));
    await saveModel(model, file('session.safetensors'));
    const x = randn([1, 3, 32, 32]);
    const answers = new Set<string>();
    for (const source of [model, file('session.ONNX'), file('session.safetensors')]) {
      const session = await InferenceSession.create(source);
      answers.add(bits(session.runSync({ input: x }).logits));
      session.dispose();
    }
    expect(answers.size).toBe(1);
  });

  test('whose session takes bytes with the preprocessing of the model', async () => {
    const model = deployNetwork('qarepvgg_a0', { ...tiny, preprocessing: { mean: [0.1, 0.2], std: [0.3, 0.4] } });
    await exportOnnx(model, file('bytes.onnx'));
    const input = { data: Uint8Array.from({ length: 578 }, (_, i) => i % 256), dims: [1, 17, 17, 2] };
    const [fromFile, fromModel] = await Promise.all(
      [file('bytes.onnx'), model].map((from) => InferenceSession.create(from)),
    );
    expect(bits(fromFile?.runSync({ input }).logits as never)).toBe(
      bits(fromModel?.runSync({ input }).logits as never),
    );
  });
});

/** A file as version 0.1 wrote it, without checksum. */
function unsealed(bytes: Uint8Array) {
  const file = decode(modelFields, bytes);
  return { ...file, metadata: file.metadata.filter(({ key }) => !key?.startsWith('qarepvgg.checksum')) };
}

describe('the file', () => {
  const model = deployNetwork();
  const read = unsealed(serializeOnnx(model));

  test.each([
    ['float', () => deployNetwork('qarepvgg_a0', { ...tiny, channels: [1, 1, 1, 1, 1], labels: [...'abcde'] })],
    ['integers', async () => (await quantize(deployNetwork('qarepvgg_a0', tiny), [randn([2, 2, 17, 17])])).model],
  ])('of %s: every flipped bit is found', async (_, make) => {
    const bytes = serializeOnnx(await make());
    const accepted: string[] = [];
    // One bit of every 41st byte, and all of those at the end, where the checksum is.
    const end = bytes.length - 150;
    const few = Array.from({ length: Math.floor(end / 41) }, (_, i) => [41 * i, i % 8] as const);
    const all = Array.from({ length: 8 * 150 }, (_, i) => [end + Math.floor(i / 8), i % 8] as const);
    for (const [at, bit] of [...few, ...all]) {
      const copy = Uint8Array.from(bytes);
      copy[at] = (copy[at] as number) ^ (1 << bit);
      try {
        parseOnnx(copy);
        accepted.push(`${at}.${bit}`);
      } catch (error) {
        if (!(error instanceof QARepVGGError)) throw error;
      }
    }
    expect(accepted).toEqual([]);
  });

  test('says what it is', () => {
    expect(read).toMatchObject({ irVersion: 7, producerName: 'qarepvgg', opsets: [{ domain: '', version: 13 }] });
    const metadata = Object.fromEntries(read.metadata.map(({ key, value }) => [key, value]));
    expect(metadata).toMatchObject({ 'qarepvgg.architecture': 'qarepvgg_a0', 'qarepvgg.form': 'deploy' });
    const [input] = read.graph?.inputs ?? [];
    const [output] = read.graph?.outputs ?? [];
    const dims = (value: typeof input) =>
      value?.type?.tensor?.shape?.dims.map((dim) => ({ ...dim })).map(({ value, param }) => value ?? param);
    expect([input?.name, dims(input)]).toEqual(['input', ['N', 3, 'H', 'W']]);
    expect([output?.name, dims(output)]).toEqual(['logits', ['N', 10]]);
  });

  test('of version 0.1, with images of a fixed size, comes back', () => {
    const fixed = (graph: Graph): Graph => {
      const shape = { dims: [{ param: 'N' }, { value: 3 }, { value: 32 }, { value: 32 }] };
      return { ...graph, inputs: [{ name: 'input', type: { tensor: { elementType: 1, shape } } }] };
    };
    const back = parseOnnx(encode(modelFields, { ...read, graph: fixed(read.graph as Graph) }));
    expect(back.options).toEqual(model.options);
  });

  test.each<[string, () => Network | Promise<QuantizedModel>]>([
    ['float', () => deployNetwork('qarepvgg_d2se', tiny)],
    ['integers', async () => (await quantize(deployNetwork('qarepvgg_a0', tiny), [randn([2, 2, 17, 17])])).model],
  ])('of %s, as files were that say what goes without saying, comes back', async (_, make) => {
    const network = await make();
    const { graph, ...rest } = unsealed(serializeOnnx(network));
    const int = (name: string, value: number) => ({ name, int: value, type: 2 });
    const wordy = (value: number): Uint8Array => {
      const nodes = (graph as Graph).nodes?.map((node) => {
        if (node.opType === 'Flatten') return { ...node, attributes: [int('axis', value)] };
        const isWindow = node.opType === 'Conv' && (node.attributes ?? []).length > 0;
        return isWindow ? { ...node, attributes: [...(node.attributes ?? []), int('group', value)].reverse() } : node;
      });
      return encode(modelFields, { ...rest, graph: { ...(graph as Graph), nodes: nodes ?? [] } });
    };
    expect(Buffer.compare(serializeOnnx(parseOnnx(wordy(1))), serializeOnnx(network))).toBe(0);
    expectRefusal(() => parseOnnx(wordy(2)), 'ERR_MODEL_FORMAT', 'the graph');
  });

  test('names tensors as the state dict', () => {
    const names = read.graph?.initializers.map(({ name }) => name);
    expect(new Set(names)).toEqual(new Set(Object.keys(model.stateDict())));
    expect(names).toHaveLength(Object.keys(model.stateDict()).length);
  });

  test('holds, for blocks and convolutions, images of any size', () => {
    const block = new QARepVGGBlock({ inChannels: 3, outChannels: 8, stride: 2 }).eval().switchToDeploy();
    const conv = new Conv2d({ inChannels: 3, outChannels: 8, bias: false });
    for (const module of [block, conv]) {
      const { graph } = decode(modelFields, serializeOnnx(module));
      const dims = [graph?.inputs[0], graph?.outputs[0]].map((value) =>
        value?.type?.tensor?.shape?.dims.map(({ value, param }) => value ?? param),
      );
      expect(dims).toEqual([
        ['N', 3, 'H', 'W'],
        ['N', 8, 'H_out', 'W_out'],
      ]);
    }
    expect(decode(modelFields, serializeOnnx(conv)).graph?.nodes[0]?.inputs).toEqual(['input', 'weight']);
  });

  test('is refused for what is not in deploy form', async () => {
    for (const module of [
      createModel('qarepvgg_a0', tiny).eval(),
      new QARepVGGBlock({ inChannels: 2, outChannels: 2 }).eval().switchToDeploy({ keepPostBn: true }),
    ]) {
      await expectRejection(exportOnnx(module, file('train.onnx')), 'ERR_MODEL_INCOMPATIBLE', 'switchToDeploy()');
    }
    await expectRejection(exportOnnx({} as never, file('none.onnx')), 'ERR_INVALID_ARG', 'exportOnnx');
  });

  test('that other software has changed: still ours, its additions are skipped', () => {
    const bytes = serializeOnnx(model);
    // Fields that are not read here: doc_string, training_info, metadata of other tools.
    const more = encode(
      {
        doc: one(6, 'string'),
        training: many(20, 'bytes'),
        metadata: many(14, { key: one(1, 'string'), value: one(2, 'string') }),
      },
      {
        doc: 'seen',
        training: [Uint8Array.of(1, 2)],
        metadata: [
          { key: '__proto__', value: 'x' },
          { key: 'other', value: 'y' },
        ],
      },
    );
    const back = parseOnnx(Buffer.concat([bytes, more]));
    expect(bits(...Object.values(back.stateDict()))).toBe(bits(...Object.values(model.stateDict())));
  });
});

describe('a file that is not what it says is refused', () => {
  const small = deployNetwork('qarepvgg_a0', { ...tiny, channels: [1, 1, 1, 1, 1] });
  const good = serializeOnnx(small);
  const read = unsealed(good);

  afterEach(() =>
    expect(bits(...Object.values(parseOnnx(good).stateDict()))).toBe(bits(...Object.values(small.stateDict()))),
  );

  type Change = (graph: Graph) => Graph;
  type Tensor = NonNullable<Graph['initializers']>[number];
  const changed = (change: Change): Draft<typeof modelFields> => ({ ...read, graph: change(read.graph as Graph) });
  const nodes = (change: (nodes: readonly Node[]) => readonly Node[]) =>
    changed((graph) => ({ ...graph, nodes: change(graph.nodes ?? []) }));
  const tensors = (change: (tensor: Tensor) => object) =>
    changed((graph) => ({
      ...graph,
      initializers: (graph.initializers ?? []).map((tensor, i) =>
        i === 2 ? { ...tensor, ...change(tensor) } : tensor,
      ),
    }));
  const added = (...more: Tensor[]) =>
    changed((graph) => ({ ...graph, initializers: [...(graph.initializers ?? []), ...more] }));
  const extra = (name: string): Tensor => ({ name, dims: [1], dataType: 1, rawData: new Uint8Array(4) });
  const metadata = (change: (key: string, value: string) => string | undefined) => ({
    ...read,
    metadata: read.metadata.flatMap(({ key = '', value = '' }) => {
      const next = change(key, value);
      return next === undefined ? [] : [{ key, value: next }];
    }),
  });

  test.each<[string, string, Draft<typeof modelFields>]>([
    ['no graph', 'tensor', { ...read, graph: undefined }],
    ['no opset', 'opset 13, received none', { ...read, opsets: [] }],
    ['another opset', 'received 17', { ...read, opsets: [{ domain: '', version: 17 }] }],
    ['two opsets', 'received 13, 1', { ...read, opsets: [{ version: 13 }, { domain: 'com.microsoft', version: 1 }] }],
    ['no metadata', 'written by exportOnnx', { ...read, metadata: [] }],
    [
      'another architecture',
      'tensor',
      metadata((key, value) =>
        (key === 'qarepvgg.architecture' ? 'qarepvgg_b0' : value).replace('[2,1,2,1]', '[2,1,2,2]'),
      ),
    ],
    [
      'an unknown architecture',
      'qarepvgg_a0',
      metadata((key, value) => (key === 'qarepvgg.architecture' ? 'resnet' : value)),
    ],
    ['another form', 'dims', metadata((key, value) => (key === 'qarepvgg.form' ? 'train' : value))],
    ['other strides', 'the graph', metadata((key, value) => (key === 'qarepvgg.strides' ? '[1,2,2,2,2]' : value))],
    ['a newer format', 'a newer release', metadata((key, value) => (key === 'qarepvgg.formatVersion' ? '99' : value))],
    ['an option missing', 'metadata', metadata((key, value) => (key === 'qarepvgg.eps' ? undefined : value))],
    ['a node missing', 'the graph', nodes((list) => list.slice(1))],
    ['a node twice', 'the graph', nodes((list) => [...list, list[0] as Node])],
    ['nodes in another order', 'the graph', nodes((list) => [...list].reverse())],
    [
      'another operator',
      'the graph',
      nodes((list) => list.map((node) => ({ ...node, opType: node.opType === 'Relu' ? 'Elu' : node.opType }))),
    ],
    [
      'an input of other channels',
      'the graph',
      changed((graph) => {
        const dims = [{ param: 'N' }, { value: 5 }, { value: 17 }, { value: 17 }];
        return { ...graph, inputs: [{ name: 'input', type: { tensor: { elementType: 1, shape: { dims } } } }] };
      }),
    ],
    ['another attribute', 'the graph', nodes((list) => list.map((node) => ({ ...node, attributes: [] })))],
    ['a tensor missing', 'received none', tensors(() => ({ name: 'other' }))],
    ['a tensor too many', 'also "extra"', added(extra('extra'))],
    ['a tensor twice', 'the graph', added(...(read.graph?.initializers ?? []).slice(0, 1))],
    ['a tensor named __proto__', 'also "__proto__"', added(extra('__proto__'))],
    ['another element type', 'type 11', tensors(() => ({ dataType: 11 }))],
    ['no element type', 'type undefined', tensors(() => ({ dataType: undefined }))],
    ['data elsewhere', 'received none', tensors(() => ({ rawData: undefined }))],
    ['data cut off', 'bytes for dims', tensors(({ rawData }) => ({ rawData: rawData?.subarray(4) }))],
    ['other dims', 'dims', tensors(() => ({ dims: [1, 1, 3, 1, 3] }))],
    ['dims below zero', 'dims', tensors(() => ({ dims: [-1, 1, -3, 3] }))],
    ['huge dims', 'bytes for dims', tensors(() => ({ dims: [2 ** 31, 2 ** 31, 2 ** 31] }))],
  ])('%s', (_, message, model) => {
    expectRefusal(() => parseOnnx(encode(modelFields, model)), 'ERR_MODEL_FORMAT', message);
  });

  test.each<[string, string, Uint8Array]>([
    ['nothing', 'opset', new Uint8Array(0)],
    ['zeros', 'damaged', new Uint8Array(100)],
    ['text', 'damaged', Buffer.from('not an ONNX file')],
    ['a field twice', 'irVersion twice', Buffer.concat([good, Buffer.from([8, 7])])],
    ['another wire type', 'wire type', Buffer.from([10, 1, 0])],
    ['a length beyond the end', 'damaged', Buffer.from([18, 255, 255, 255, 255, 15, 0])],
    ['a number of eleven bytes', 'damaged', Buffer.from([8, ...Array(11).fill(255), 1])],
    [
      'a number beyond 2^53',
      'too large',
      Buffer.from([8, ...Array(9).fill(255), 1].map((byte, i) => (i === 9 ? 0x7f : byte))),
    ],
    ['text that is no UTF-8', 'damaged', Buffer.from([18, 2, 0xff, 0xfe])],
    ['groups within groups', 'damaged', Buffer.alloc(100_000, 0x63)],
  ])('%s', (_, message, bytes) => {
    expectRefusal(() => parseOnnx(bytes), 'ERR_MODEL_FORMAT', message);
  });

  // Each value is a few bytes in the file, and hundreds in memory.
  test.each<[string, number[]]>([
    ['nodes', [0x0a, 0]],
    ['tensors', [0x2a, 0]],
    ['inputs', [0x5a, 0]],
    ['attributes', [0x0a, 2, 0x2a, 0]],
    ['names of inputs', [0x0a, 2, 0x0a, 0]],
    ['dims', [0x2a, 2, 0x08, 1]],
    ['packed dims', [0x2a, 4, 0x0a, 2, 1, 1]],
  ])('more %s than any network has: refused before they are built', (_, entry) => {
    const count = Math.floor(2 ** 22 / entry.length);
    const graph = Buffer.alloc(count * entry.length, Buffer.from(entry));
    const file = encode({ graph: one(7, 'bytes') }, { graph });
    const before = process.memoryUsage().heapUsed;
    expectRefusal(() => parseOnnx(file), 'ERR_LIMIT', 'more than 262144 values');
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(20 * file.length + 2 ** 26);
  });

  test('cut off anywhere', () => {
    const odd = [...good.keys()].filter((length) => {
      const result = outcome(() => parseOnnx(good.subarray(0, length)));
      return !('code' in result) || result.code !== 'ERR_MODEL_FORMAT';
    });
    expect(odd).toEqual([]);
  });

  test('any bit flipped: refused, or a network that is whole', () => {
    fc.assert(
      fc.property(fc.nat(good.length * 8 - 1), (bit) => {
        const bytes = Uint8Array.from(good);
        (bytes[bit >> 3] as number) ^= 1 << (bit & 7);
        const result = outcome(() => parseOnnx(bytes));
        if ('code' in result) expect(result.code).toBe('ERR_MODEL_FORMAT');
        else expect(result.form).toBe('deploy');
      }),
      { numRuns: 2000 },
    );
  });

  test('paths and files of other kinds', async () => {
    writeFileSync(file('text.onnx'), 'not an ONNX file');
    await expectRejection(importOnnx(file('text.onnx')), 'ERR_MODEL_FORMAT', 'text.onnx');
    await expectRejection(importOnnx(folder), 'ERR_INVALID_ARG', 'a folder');
    await expectRejection(importOnnx(file('nothing.onnx')), 'ERR_INVALID_ARG', 'ENOENT');
    await expectRejection(importOnnx(7 as never), 'ERR_INVALID_ARG', 'a path');
    await expectRejection(InferenceSession.create(file('nothing.onnx')), 'ERR_INVALID_ARG', 'ENOENT');
    await exportOnnx(small, file('small.onnx'));
    await expectRejection(loadModel(file('small.onnx')), 'ERR_MODEL_FORMAT', 'small.onnx');
    await expectRejection(exportOnnx(small, path.join(folder, 'no', 'folder.onnx')), 'ERR_INVALID_ARG', 'ENOENT');
  });

  test('a block, which has no architecture to come back to', () => {
    const block = serializeOnnx(new QARepVGGBlock({ inChannels: 3, outChannels: 8 }).eval().switchToDeploy());
    expectRefusal(() => parseOnnx(block), 'ERR_MODEL_FORMAT', 'a network written by exportOnnx');
  });
});

describe('protocol buffers by tables', () => {
  const inner = { id: one(1, 'int'), values: many(2, 'float') };
  const fields = {
    count: one(1, 'int'),
    names: many(3, 'string'),
    inner: many(4, inner),
    raw: one(200, 'bytes'),
    ratio: one(16, 'float'),
  };
  const integers = fc.maxSafeInteger();
  const floats = fc.float({ noNaN: true, noDefaultInfinity: true });

  test('what is written is read', () => {
    const message = fc.record({
      count: fc.option(integers, { nil: undefined }),
      names: fc.array(fc.string({ unit: 'grapheme' })),
      inner: fc.array(fc.record({ id: integers, values: fc.array(floats) })),
      raw: fc.option(fc.uint8Array(), { nil: undefined }),
      ratio: fc.option(floats, { nil: undefined }),
    });
    fc.assert(fc.property(message, (value) => expect(decode(fields, encode(fields, value))).toEqual(value)));
  });

  test('packed lists are read, too', () => {
    const packed = encode({ values: many(2, 'bytes') }, { values: [Buffer.from(Float32Array.of(1, -2.5).buffer)] });
    expect(decode(inner, packed)).toEqual({ id: undefined, values: [1, -2.5] });
    expect(decode({ ints: many(8, 'int') }, Uint8Array.of(66, 3, 1, 0x80, 1, 64, 5))).toEqual({ ints: [1, 128, 5] });
  });
});
