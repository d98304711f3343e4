import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { runInNewContext } from 'node:vm';
import {
  exportOnnx,
  type FileSource,
  InferenceSession,
  importOnnx,
  loadModel,
  loadStateDict,
  type Network,
  QuantizedModel,
  quantize,
  randn,
  saveModel,
  saveStateDict,
  Trainer,
} from '../../lib';
import { bits } from '../support/compare';
import { temporaryFolder } from '../support/formats';
import { deployNetwork, randomNetwork, tiny } from '../support/networks';
import { batches, network } from '../support/quantizing';
import { expectRejection } from '../support/refusal';

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);
const model = deployNetwork('qarepvgg_a0', tiny);
const weights = bits(...Object.values(model.stateDict()));

beforeAll(async () => {
  await saveModel(model, file('model.safetensors'));
  await exportOnnx(model, file('model.onnx'));
  await new Trainer(randomNetwork('qarepvgg_a0')).saveCheckpoint(file('checkpoint.safetensors'));
});

const readers: Record<string, { name: string; read: (source: FileSource) => Promise<string> }> = {
  loadModel: {
    name: 'model.safetensors',
    read: async (source) => bits(...Object.values((await loadModel<Network>(source)).stateDict())),
  },
  importOnnx: {
    name: 'model.onnx',
    read: async (source) => bits(...Object.values((await importOnnx<Network>(source)).stateDict())),
  },
  loadStateDict: { name: 'model.safetensors', read: weightsIn },
  'loadStateDict, of PyTorch': {
    name: path.join(__dirname, '../fixtures/torch/state_dict.pt'),
    read: async (source) => bits(...Object.values(await loadStateDict(source))),
  },
  'InferenceSession.create': { name: 'model.safetensors', read: logitsOf },
  'InferenceSession.create, of ONNX': { name: 'model.onnx', read: logitsOf },
  'Trainer.loadCheckpoint': {
    name: 'checkpoint.safetensors',
    read: async (source) => {
      const network = randomNetwork('qarepvgg_a0', tiny, 2);
      await new Trainer(network).loadCheckpoint(source);
      return bits(...Object.values(network.stateDict()));
    },
  },
};

async function logitsOf(source: FileSource): Promise<string> {
  const session = await InferenceSession.create(source);
  const { logits } = session.runSync({ input: randn([1, 2, 17, 17]) });
  session.dispose();
  return bits(logits as never);
}

describe.each(Object.entries(readers))('%s takes', (_, { name, read }) => {
  const at = path.resolve(folder, name);
  const bytes = (): Buffer => readFileSync(at);

  test.each<[string, () => FileSource]>([
    ['a Buffer', bytes],
    ['a Uint8Array', () => Uint8Array.from(bytes())],
    ['a view that begins at an odd offset', () => Uint8Array.from([0, 0, 0, ...bytes()]).subarray(3)],
    ['an ArrayBuffer', () => Uint8Array.from(bytes()).buffer],
    ['an ArrayBuffer of another realm', () => inOtherRealm(bytes())],
    ['a file: URL', () => pathToFileURL(at)],
    ['a file: URL as text', () => pathToFileURL(at).href],
  ])('%s', async (_, make) => {
    expect(await read(make())).toBe(await read(at));
  });

  test('bytes that change as soon as it has returned', async () => {
    const source = Uint8Array.from(bytes());
    const expected = await read(at);
    const pending = read(source);
    source.fill(0xff);
    structuredClone(source, { transfer: [source.buffer] });
    expect(await pending).toBe(expected);
  });

  test.each<[string, Parameters<typeof expectRejection>[1], string, () => unknown]>([
    ['a DataView', 'ERR_INVALID_ARG', 'received a DataView', () => new DataView(new ArrayBuffer(8))],
    ['a Float32Array', 'ERR_INVALID_ARG', 'received a Float32Array', () => new Float32Array(8)],
    ['an array of numbers', 'ERR_INVALID_ARG', 'received an array', () => [1, 2]],
    ['a promise of bytes', 'ERR_INVALID_ARG', 'received a Promise', () => Promise.resolve(bytes())],
    ['nothing', 'ERR_INVALID_ARG', 'received undefined', () => undefined],
    ['an http: URL', 'ERR_INVALID_ARG', 'a file: URL', () => new URL('http://localhost/model.onnx')],
    ['shared memory', 'ERR_BUFFER_SHARED', 'SharedArrayBuffer', () => new SharedArrayBuffer(8)],
    ['a view of shared memory', 'ERR_BUFFER_SHARED', 'Shared', () => new Uint8Array(new SharedArrayBuffer(8))],
    ['detached memory', 'ERR_BUFFER_DETACHED', 'detached', () => detached(new ArrayBuffer(8))],
    ['a URL whose href throws', 'ERR_INVALID_ARG', 'throws', () => throwing()],
    ['no bytes', 'ERR_MODEL_FORMAT', '0 bytes', () => new Uint8Array(0)],
  ])('and refuses %s', async (title, code, message, make) => {
    await expectRejection(read(make() as never), code, message);
    if (code === 'ERR_INVALID_ARG' && !/URL/.test(title)) {
      await expectRejection(read(make() as never), code, 'a path, a file: URL, a Uint8Array or an ArrayBuffer');
    }
  });
});

test('bytes that are cut off are damaged files', async () => {
  for (const { name, read } of Object.values(readers)) {
    const bytes = readFileSync(path.resolve(folder, name));
    for (const length of [1, 7, 9, bytes.length >> 1, bytes.length - 1]) {
      await expectRejection(read(bytes.subarray(0, length)), 'ERR_MODEL_FORMAT', `${length} bytes`);
    }
  }
});

test('a quantised model comes from its bytes, too', async () => {
  await saveModel((await quantize(network, batches)).model, file('int8.safetensors'));
  const back = await loadModel(readFileSync(file('int8.safetensors')));
  expect(back).toBeInstanceOf(QuantizedModel);
});

test('files are written to file: URLs', async () => {
  const url = (name: string): URL => pathToFileURL(file(name));
  await saveModel(model, url('a b.safetensors'));
  await exportOnnx(model, url('a b.onnx'));
  await saveStateDict(model.stateDict(), url('state.safetensors'));
  for (const name of ['a b.safetensors', 'a b.onnx', 'state.safetensors']) {
    expect(await weightsIn(file(name))).toBe(weights);
  }
  await expectRejection(saveModel(model, url('model.onnx')), 'ERR_INVALID_ARG', 'saveModel');
  for (const write of [saveModel, exportOnnx]) {
    await expectRejection(write(model, Buffer.from(file('x')) as never), 'ERR_INVALID_ARG', 'a path or a file: URL');
    await expectRejection(write(model, new URL('https://localhost/x') as never), 'ERR_INVALID_ARG', 'a file: URL');
  }
});

/** The weights in a file, in one order whichever it has. */
async function weightsIn(source: FileSource): Promise<string> {
  if (typeof source === 'string' && source.endsWith('.onnx'))
    return bits(...Object.values((await importOnnx<Network>(source)).stateDict()));
  const copy = deployNetwork('qarepvgg_a0', tiny);
  copy.loadStateDict(await loadStateDict(source));
  return bits(...Object.values(copy.stateDict()));
}

function inOtherRealm(bytes: Uint8Array): ArrayBuffer {
  const buffer = runInNewContext('new ArrayBuffer(length)', { length: bytes.length }) as ArrayBuffer;
  new Uint8Array(buffer).set(bytes);
  return buffer;
}

function detached(buffer: ArrayBuffer): ArrayBuffer {
  structuredClone(buffer, { transfer: [buffer] });
  return buffer;
}

function throwing(): object {
  return {
    get href(): string {
      throw new Error('of the caller');
    },
  };
}
