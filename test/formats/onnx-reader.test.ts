import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { exportOnnx, importOnnx, QARepVGGBlock } from '../../lib';
import { within } from '../../lib/errors';
import { importModel } from '../../lib/formats/onnx/document';
import { type Initializer, modelFields } from '../../lib/formats/onnx/schema';
import { encode } from '../../lib/formats/onnx/wire';
import { Model } from '../../lib/model/model';
import { temporaryFolder } from '../support/formats';
import { graphOf, type ModelSketch, onnxFile, valueInfo } from '../support/onnx-files';
import { expectRejection } from '../support/refusal';

const folder = temporaryFolder();
const relu: ModelSketch = { inputs: { x: ['n', 3] }, outputs: ['y'], nodes: [['Relu', ['x'], ['y']]] };

/** A graph that returns one constant. */
function constantFile(tensor: Initializer): Uint8Array {
  const graph = { initializers: [{ name: 'c', ...tensor }], outputs: [{ name: 'c' }] };
  return encode(modelFields, { graph, opsets: [{ domain: '', version: 18 }] });
}

async function readConstant(tensor: Initializer) {
  const { graph } = (await within('test', () => importModel(constantFile(tensor), folder))) as Model;
  return graph.tensors.get('c');
}

const bytesOf = ({ buffer, byteOffset, byteLength }: NodeJS.TypedArray) =>
  new Uint8Array(buffer, byteOffset, byteLength);

test('inputs, outputs and open dims', async () => {
  const graph = await graphOf({ ...relu, tensors: { unused: [[2], [1, 2]] } });
  expect(graph.inputs).toEqual([{ name: 'x', type: 'float32', dims: ['n', 3] }]);
  expect(graph.outputs).toEqual(['y']);
  expect(graph.nodes).toEqual([{ name: 'y', op: 'relu', inputs: ['x'], outputs: ['y'], attributes: {} }]);
});

test('an initializer that is also an input is a constant; two of one name are refused', async () => {
  const file = (...values: number[]) => ({
    opsets: [{ version: 13 }],
    graph: {
      nodes: [{ opType: 'Add', inputs: ['x', 'w'], outputs: ['y'] }],
      initializers: values.map((value) => ({
        name: 'w',
        dims: [1],
        dataType: 1,
        rawData: bytesOf(Float32Array.of(value)),
      })),
      inputs: [valueInfo('w', 'float32', [1]), valueInfo('x', 'float32', [1])],
      outputs: [{ name: 'y' }],
    },
  });
  const graph = await graphOf(file(1));
  expect(graph.inputs.map(({ name }) => name)).toEqual(['x']);
  expect(graph.tensors.get('w')?.data[0]).toBe(1);
  await expectRejection(graphOf(file(1, 2)), 'ERR_MODEL_FORMAT', 'names, each once, received "w"');
});

test('one error names all nodes that cannot be computed, whatever the dims of a run are', async () => {
  const tensors = {
    w: [[2, 3, 1, 1], Array(6).fill(1)],
    volume: [[2, 3, 1, 1, 1], Array(6).fill(1)],
    wide: [[2, 5, 1, 1], Array(10).fill(1)],
    three: [[3], [1, 1, 1]],
    scales: [[4], [1, 1, 2, 2]],
    one: [[], [1]],
  } as const;
  const nodes = [
    ['Conv', ['x', 'w'], ['stride'], { strides: [0, 1] }],
    ['Conv', ['x', 'w', 'three'], ['bias']],
    ['Conv', ['x', 'wide'], ['channels']],
    ['Conv', ['z', 'volume'], ['three axes']],
    ['ConvTranspose', ['x', 'three_by'], ['group'], { group: 2 }],
    ['BatchNormalization', ['x', 'three', 'three', 'three', 'three'], ['training'], { training_mode: 1 }],
    ['Resize', ['x', '', 'scales'], ['filter'], { mode: 'quintic' }],
    ['QuantizeLinear', ['x', 'one', 'words'], ['words of 16 bits']],
    ['Pad', ['x', 'pads'], ['mode'], { mode: 'mirror' }],
    ['GlobalAveragePool', ['x'], ['mean']],
    ['ConvTranspose', ['x', 'mean'], ['computed weight']],
    ['MaxPool', ['x'], ['places', 'indices'], { kernel_shape: [2, 2] }],
    ['Foo', ['x'], ['unknown']],
  ] as const;
  const ends = nodes.map(([, , [output]]) => output);
  const sketch: ModelSketch = {
    inputs: { x: ['n', 3, 'h', 'w'], z: ['n', 3, 'd', 'h', 'w'] },
    outputs: [...ends, 'indices'],
    nodes,
    tensors: { ...tensors, three_by: [[3, 2, 1, 1], Array(6).fill(1)] } as never,
    opset: 21,
    bytes: { words: ['int32', [], [0]] } as const,
    integers: { pads: [0, 0, 1, 1, 0, 0, 1, 1] },
  };
  const error = (await graphOf(sketch).catch((reason: unknown) => reason)) as Error;
  const named = ends.filter((name) => name !== 'mean');
  expect(error).toMatchObject({ code: 'ERR_SHAPE', message: expect.stringContaining(`${named.length} that are not`) });
  expect([...error.message.matchAll(/"([^"]*)" \([A-Z]/g)].map(([, name]) => name).sort()).toEqual(named.sort());
  expect(error.message).toContain('"filter" (Resize: expected mode nearest, linear, cubic, received quintic)');
  expect(error.message).toContain(
    '"words of 16 bits" (QuantizeLinear: expected integers of 8 bits, received wider ones)',
  );
});

test('only weights of convolutions, not of transposed ones, may depend on the image that they are for', async () => {
  const inputs = { x: ['n', 3, 'h', 'w'], scale: [3, 1, 1, 1] } as const;
  const tensors = { w: [[3, 3, 1, 1], Array(9).fill(1)] } as const;
  const of = (op: string, source: string) =>
    graphOf({
      inputs,
      outputs: ['y'],
      tensors,
      integers: { axes: [0, 2, 3] },
      nodes: [
        ['ReduceMean', ['x', 'axes'], ['mean']],
        ['Mul', ['w', source], ['product']],
        [op, ['x', 'product'], ['y']],
      ],
    });
  expect((await of('Conv', 'mean')).nodes).toHaveLength(3);
  expect((await of('ConvTranspose', 'scale')).nodes).toHaveLength(3);
  await expectRejection(
    of('ConvTranspose', 'mean'),
    'ERR_MODEL_INCOMPATIBLE',
    '"y" (ConvTranspose): expected input 1 ("product") to follow from',
  );
});

test('a single node at fault is an error of its own; an output that nothing reads is none', async () => {
  const pool = ['MaxPool', ['x'], ['y', 'indices'], { kernel_shape: [2, 2] }] as const;
  const sketch = { inputs: { x: ['n', 3, 'h', 'w'] }, outputs: ['y'], nodes: [pool] } satisfies ModelSketch;
  expect((await graphOf(sketch)).nodes[0]?.outputs).toEqual(['y']);
  const read = graphOf({ ...sketch, outputs: ['y', 'indices'] });
  await expectRejection(read, 'ERR_MODEL_INCOMPATIBLE', '"y" (MaxPool, output 1 of which is read)');
  const wide = graphOf({ ...sketch, nodes: [['AveragePool', ['x'], ['y'], { kernel_shape: [2, 2, 2] }]] });
  await expectRejection(
    wide,
    'ERR_MODEL_INCOMPATIBLE',
    'test, node "y" (AveragePool): expected one or two spatial axes',
  );
});

test('nodes of any order are put in order', async () => {
  const nodes = [
    ['Neg', ['b'], ['y']],
    ['Abs', ['a'], ['b']],
    ['Relu', ['x'], ['a']],
  ] as const;
  expect((await graphOf({ ...relu, nodes })).nodes.map(({ op }) => op)).toEqual(['relu', 'abs', 'neg']);
});

test.each<[string, Initializer, number[]]>([
  ['raw floats', { dataType: 1, rawData: bytesOf(Float32Array.of(1.5, -2)) }, [1.5, -2]],
  ['listed floats', { dataType: 1, floats: bytesOf(Float32Array.of(1.5, -2)) }, [1.5, -2]],
  ['half floats', { dataType: 10, rawData: bytesOf(Uint16Array.of(0x3e00, 0xc000)) }, [1.5, -2]],
  ['listed half floats', { dataType: 10, ints: Uint8Array.of(0x80, 0x7c, 0x80, 0x80, 0x03) }, [1.5, -2]],
  ['bfloat16', { dataType: 16, rawData: bytesOf(Uint16Array.of(0x3fc0, 0xc000)) }, [1.5, -2]],
  ['doubles', { dataType: 11, doubles: bytesOf(Float64Array.of(1.5, -2)) }, [1.5, -2]],
  ['int64', { dataType: 7, rawData: bytesOf(BigInt64Array.of(3n, -1n)) }, [3, -1]],
  ['listed int64', { dataType: 7, longs: Uint8Array.of(3, ...Array(9).fill(0xff), 1) }, [3, -1]],
  ['listed int8', { dataType: 3, ints: Uint8Array.of(3, ...Array(9).fill(0xff), 1) }, [3, -1]],
  ['uint32', { dataType: 12, unsigned: Uint8Array.of(3, 0x80, 1) }, [3, 128]],
  ['int16', { dataType: 5, rawData: bytesOf(Int16Array.of(3, -1)) }, [3, -1]],
  ['bools', { dataType: 9, rawData: Uint8Array.of(0, 7) }, [0, 1]],
])('%s', async (_, tensor, expected) => {
  const read = await readConstant({ dims: [2], ...tensor });
  expect(Array.from(read?.data ?? [], Number)).toEqual(expected);
});

describe('tensors in files of their own', () => {
  const external = (entries: Record<string, string>): Initializer => ({
    dims: [2],
    dataType: 1,
    location: 1,
    external: Object.entries(entries).map(([key, value]) => ({ key, value })),
  });
  writeFileSync(path.join(folder, 'weights.bin'), Float32Array.of(1, 2, 3));

  test('in the folder', async () => {
    const tensor = await readConstant(external({ location: 'weights.bin', offset: '4', length: '8' }));
    expect(tensor?.data).toEqual(Float32Array.of(2, 3));
  });

  test('are checked, whatever the file itself holds beside them', async () => {
    writeFileSync(path.join(folder, 'nan.bin'), new Float32Array(54).fill(Number.NaN));
    const weight = { ...external({ location: 'nan.bin' }), dims: [3, 2, 3, 3], rawData: new Uint8Array(4 * 54) };
    const image = { elementType: 1, shape: { dims: [1, 2, 6, 6].map((value) => ({ value })) } };
    const graph = {
      inputs: [{ name: 'x', type: { tensor: image } }],
      initializers: [{ name: 'w', ...weight }],
      nodes: [{ opType: 'Conv', inputs: ['x', 'w'], outputs: ['y'] }],
      outputs: [{ name: 'y' }],
    };
    const bytes = encode(modelFields, { graph, opsets: [{ domain: '', version: 18 }] });
    await expectRejection(
      within('test', () => importModel(bytes, folder)),
      'ERR_NON_FINITE',
      'received NaN at 0',
    );
  });

  test('nowhere else', async () => {
    mkdirSync(path.join(folder, 'inner'));
    symlinkSync('/etc/hostname', path.join(folder, 'link'));
    for (const location of ['../weights.bin', '/etc/hostname', 'link', 'inner/../../weights.bin']) {
      const bytes = constantFile(external({ location }));
      const answer = within('test', () =>
        importModel(bytes, location.startsWith('..') ? path.join(folder, 'inner') : folder),
      );
      if (location.startsWith('inner')) await expectRejection(answer, 'ERR_INVALID_ARG', 'weights.bin');
      else await expectRejection(answer, 'ERR_MODEL_FORMAT', "a file in the model's folder");
    }
    const missing = within('test', () => importModel(constantFile(external({ location: 'none' })), folder));
    await expectRejection(missing, 'ERR_INVALID_ARG', '"none"');
    const bytes = within('test', () => importModel(constantFile(external({ location: 'weights.bin' })), undefined));
    await expectRejection(bytes, 'ERR_MODEL_FORMAT', 'import the model from its path');
  });

  test.each([
    [{ location: 'weights.bin', offset: '8', length: '8' }, 'within the 12'],
    [{ location: 'weights.bin', offset: '-4' }, 'a number of bytes'],
    [{ location: 'weights.bin', length: '4' }, '2 numbers'],
    [{ offset: '4' }, 'the location'],
  ])('%j is refused', async (entries, message) => {
    await expectRejection(
      readConstant(external(entries as unknown as Record<string, string>)),
      'ERR_MODEL_FORMAT',
      message,
    );
  });
});

describe('refused, with every node at fault', () => {
  const refused = (nodes: ModelSketch['nodes'], more: Partial<ModelSketch> = {}) =>
    graphOf({ ...relu, nodes, ...more });

  test('operators and domains that are not known', async () => {
    const nodes = [
      ...[{ opType: 'EfficientNMS_TRT', domain: 'TRT', inputs: ['x'], outputs: ['a'], name: 'nms' }],
      ...[
        { opType: 'Loop', inputs: ['x'], outputs: ['b'] },
        { opType: 'Relu', inputs: ['x'], outputs: ['y'] },
      ],
    ];
    const graph = { nodes, inputs: [valueInfo('x', 'float32', [1])], outputs: [{ name: 'y' }] };
    const answer = graphOf({ opsets: [{ version: 13 }], graph });
    await expectRejection(answer, 'ERR_MODEL_INCOMPATIBLE', '"nms" (EfficientNMS_TRT of domain TRT), "b" (Loop)');
  });

  test('dynamic quantisation, with what to do instead', async () => {
    const nodes: ModelSketch['nodes'] = [
      ['DynamicQuantizeLinear', ['x'], ['q', 's', 'z']],
      ['DequantizeLinear', ['q', 's', 'z'], ['y']],
    ];
    await expectRejection(refused(nodes), 'ERR_MODEL_INCOMPATIBLE', 'quantise the float model with images instead');
  });

  test.each<[string, ModelSketch['nodes'], string]>([
    ['an attribute of another name', [['Relu', ['x'], ['y'], { axis: 1 }]], 'attribute axis, which is not known'],
    ['one of another type', [['Concat', ['x'], ['y'], { axis: 'a' }]], 'attribute axis: expected int, received "a"'],
    ['one that is missing', [['Concat', ['x'], ['y']]], 'no attribute axis'],
    ['too few inputs', [['Add', ['x'], ['y']]], 'expected 2 inputs, received 1'],
    ['a value that nothing makes', [['Add', ['x', 'z'], ['y']]], 'reads z, which no node computes'],
    [
      'a cycle',
      [
        ['Add', ['x', 'y'], ['a']],
        ['Relu', ['a'], ['y']],
      ],
      'reads a, which depends on it',
    ],
    [
      'a name twice',
      [
        ['Relu', ['x'], ['y']],
        ['Abs', ['x'], ['y']],
      ],
      'defines y a second time',
    ],
  ])('%s', async (_, nodes, message) => {
    await expectRejection(refused(nodes), 'ERR_MODEL_FORMAT', message);
  });

  test('an opset to come', async () => {
    await expectRejection(refused(relu.nodes, { opset: 22 }), 'ERR_MODEL_INCOMPATIBLE', 'opset 1 to 21');
  });

  test('dims that claim more than there is, before memory is taken', async () => {
    const huge = (dims: number[]) => readConstant({ dims, dataType: 1, rawData: new Uint8Array(8) });
    await expectRejection(huge([2 ** 40]), 'ERR_MODEL_FORMAT', '1099511627776 numbers');
    await expectRejection(huge([2 ** 30, 2 ** 30]), 'ERR_MODEL_FORMAT', 'a product below 2^50');
    await expectRejection(huge([-2, -1]), 'ERR_MODEL_FORMAT', 'sizes from 0');
    const listed = readConstant({ dims: [2 ** 40], dataType: 7, longs: new Uint8Array(8) });
    await expectRejection(listed, 'ERR_MODEL_FORMAT', '1099511627776 numbers');
  });
});

test('every truncation of a file is read or refused, and so is every changed byte', async () => {
  const bytes = onnxFile({
    inputs: { x: [1, 2, 4, 4] },
    outputs: ['y'],
    nodes: [['Conv', ['x', 'w'], ['y'], { pads: [1, 1, 1, 1] }]],
    tensors: { w: [[1, 2, 3, 3], Array(18).fill(1)] },
  });
  const outcome = (file: Uint8Array) =>
    within('test', () => importModel(file, undefined)).then(
      () => 'read',
      (error: { code?: string }) => error.code,
    );
  const outcomes = new Set<string | undefined>();
  for (let i = 0; i < bytes.length; i++) {
    outcomes.add(await outcome(bytes.subarray(0, i)));
    for (const flip of [1, 0x80, 0xff])
      outcomes.add(await outcome(bytes.map((byte, at) => (at === i ? byte ^ flip : byte))));
  }
  expect(
    [...outcomes].filter(
      (code) => !['read', 'ERR_MODEL_FORMAT', 'ERR_MODEL_INCOMPATIBLE', 'ERR_SHAPE'].includes(code ?? ''),
    ),
  ).toEqual([]);
});

test('importOnnx reads a file of any origin, a block of ours as well', async () => {
  const file = path.join(folder, 'block.onnx');
  await exportOnnx(new QARepVGGBlock({ inChannels: 3, outChannels: 4 }).eval().switchToDeploy(), file);
  const model = await importOnnx<Model>(file);
  expect(model).toBeInstanceOf(Model);
  expect(model.inputs.map(({ name }) => name)).toEqual(['input']);
  expect(model.summary({ inputs: { input: [2, 3, 8, 8] } })).toMatchObject({
    parameters: 3 * 4 * 9 + 4,
    macs: 2 * 64 * 3 * 4 * 9,
    nodes: [{ op: 'Conv', output: [2, 4, 8, 8] }, { op: 'Relu' }],
  });
  expect(String(model)).toBe('Model(input -> logits, 2 nodes)');
});
