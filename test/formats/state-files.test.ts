import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import {
  createModel,
  importOnnx,
  loadModel,
  loadStateDict,
  type Network,
  QARepVGGBlock,
  type StateDict,
  saveModel,
  saveStateDict,
  type Tensor,
} from '../../lib';
import type { RawTensor } from '../../lib/formats/dtypes';
import { writeSafetensors } from '../../lib/formats/safetensors';
import { loadTrainingFixtures, type TrainingFixture } from '../fixtures/training.cjs';
import { relativeL2 } from '../support/compare';
import { safetensorsFile, temporaryFolder } from '../support/formats';
import { randomNetwork, tiny } from '../support/networks';
import { expectRejection } from '../support/refusal';
import { pickle, storage, tensor, text, torchFile, zip } from '../support/torch-archive';

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);
const fixture = (name: string): string => path.join(__dirname, '../fixtures/torch', name);

function save(name: string, bytes: Uint8Array): string {
  writeFileSync(file(name), bytes);
  return file(name);
}

describe('state dict files', () => {
  test('of a block, in any layout', async () => {
    const block = new QARepVGGBlock({ inChannels: 6, outChannels: 6, seed: 3 });
    const other = new QARepVGGBlock({ inChannels: 6, outChannels: 6, seed: 4 });
    await saveStateDict(block.stateDict({ layout: 'seed' }), file('block.safetensors'));
    other.loadStateDict(await loadStateDict(file('block.safetensors')), { layout: 'seed' });
    expect(other.stateDict()).toEqual(block.stateDict());
  });

  test('of a network, from a model file', async () => {
    const model = randomNetwork('qarepvgg_a0');
    await saveModel(model, file('model.safetensors'));
    const other = createModel('qarepvgg_a0', tiny);
    expect(other.loadStateDict(await loadStateDict(file('model.safetensors')))).toEqual({
      missing: [],
      unexpected: [],
    });
    expect(other.stateDict()).toEqual(model.stateDict());
  });

  test('what names do not show goes along', async () => {
    const options = { inChannels: 6, outChannels: 6 };
    const plain = new QARepVGGBlock(options);
    const load = async (state: StateDict, name = 'block'): Promise<unknown> => {
      await saveStateDict(state, file(name));
      const read = await loadStateDict(file(name));
      return plain.loadStateDict(read);
    };
    await expectRejection(
      load(new QARepVGGBlock({ ...options, averageBranch: true }).stateDict()),
      'ERR_MODEL_INCOMPATIBLE',
      'averageBranch false, received true',
    );
    await expectRejection(
      load(new QARepVGGBlock({ ...options, eps: 1e-3 }).stateDict()),
      'ERR_MODEL_INCOMPATIBLE',
      'eps',
    );
    await load(new QARepVGGBlock({ ...options, momentum: 0.5 }).stateDict());
    const network = randomNetwork('qarepvgg_a0', { ...tiny, averageBranch: true });
    await saveModel(network, file('model.safetensors'));
    const read = await loadStateDict(file('model.safetensors'));
    const loading = (async () => createModel('qarepvgg_a0', tiny).loadStateDict(read))();
    await expectRejection(loading, 'ERR_MODEL_INCOMPATIBLE', 'averageBranch false, received true');
  });

  test('what is no state dict leaves no file', async () => {
    const block = new QARepVGGBlock({ inChannels: 6, outChannels: 6 });
    const network = randomNetwork('qarepvgg_a0');
    const others: [unknown, string][] = [
      [block, 'a module; pass its stateDict()'],
      [network, 'a module; pass its stateDict()'],
      [Promise.resolve(block.stateDict()), 'a Promise; await it'],
      [new Map(Object.entries(block.stateDict())), 'a Map'],
      [[], 'an array'],
    ];
    for (const [other, message] of others) {
      await expectRejection(saveStateDict(other as StateDict, file('none')), 'ERR_INVALID_ARG', message);
      await expectRejection((async () => block.loadStateDict(other as StateDict))(), 'ERR_INVALID_ARG', message);
    }
    await expectRejection(
      saveStateDict(block.stateDict(), file('none.onnx')),
      'ERR_INVALID_ARG',
      'one for an ONNX file',
    );
    expect(readdirSync(folder).filter((name) => name.startsWith('none'))).toEqual([]);
  });

  test('messages name the function that was called, and the file', async () => {
    await expectRejection(loadStateDict(file('missing')), 'ERR_INVALID_ARG', `loadStateDict, "${file('missing')}"`);
    const broken = save('broken', Buffer.alloc(20));
    await expectRejection(loadStateDict(broken), 'ERR_MODEL_FORMAT', `loadStateDict, "${broken}"`);
    await expectRejection(loadStateDict(fixture('torchscript.pt')), 'ERR_MODEL_FORMAT', 'loadStateDict, "');
    await expectRejection(
      loadStateDict(fixture('checkpoint.pt'), { key: 'nonsense' }),
      'ERR_MODEL_INCOMPATIBLE',
      'loadStateDict, "',
    );
    await expectRejection(loadModel(broken), 'ERR_MODEL_FORMAT', `loadModel, "${broken}"`);
    const network = randomNetwork('qarepvgg_a0');
    const nowhere = file('no/model');
    await expectRejection(saveModel(network, nowhere), 'ERR_INVALID_ARG', `saveModel, "${nowhere}"`);
    await expectRejection(
      saveStateDict(network.stateDict(), nowhere),
      'ERR_INVALID_ARG',
      `saveStateDict, "${nowhere}"`,
    );
  });

  test('doubles that float32 has no room for are refused by name; infinities stay what they are', async () => {
    const { POSITIVE_INFINITY, NaN: nan } = Number;
    const doubles = (...values: number[]): Float64Array => Float64Array.of(nan, POSITIVE_INFINITY, 3.4e38, ...values);
    await writeSafetensors(file('wide'), { w: { dtype: 'F64', data: doubles(1e-60), dims: [4] } as RawTensor });
    expect((await loadStateDict(file('wide'))).w?.data).toEqual(Float32Array.of(nan, POSITIVE_INFINITY, 3.4e38, 0));
    const data = doubles(-1e300);
    await writeSafetensors(file('wide'), { w: { dtype: 'F64', data, dims: [4] } as RawTensor });
    const message = (name: string): string => `loadStateDict, "${file(name)}", "w": expected numbers within float32`;
    await expectRejection(loadStateDict(file('wide')), 'ERR_NON_FINITE', message('wide'));
    const dict = ['}', text('w'), ...tensor(storage('DoubleStorage', '0', 4), 0, [4], [1]), 's'];
    const torch = save('wide.pt', torchFile(pickle(...dict), { 0: Buffer.from(data.buffer) }));
    await expectRejection(loadStateDict(torch), 'ERR_NON_FINITE', message('wide.pt'));
  });

  test('of PyTorch, whatever they are called', async () => {
    const direct = await loadStateDict(fixture('state_dict.pt'));
    const disguised = await loadStateDict(save('weights.safetensors', readFileSync(fixture('state_dict.pt'))));
    expect(disguised).toEqual(direct);
    expect(Object.keys(direct).length).toBeGreaterThan(0);
    await saveStateDict(direct, file('weights.pt'));
    expect(await loadStateDict(file('weights.pt'))).toEqual(direct);
  });

  test('of a network that PyTorch has trained: to a deploy model, and the same logits', async () => {
    const [{ network, trainedState, images }] = loadTrainingFixtures() as [TrainingFixture];
    const model = createModel('qarepvgg_a0', network).eval();
    model.loadStateDict(await loadStateDict(fixture('network.pth')));
    expect({ ...model.stateDict() }).toEqual(trainedState);
    await saveModel(model.reparameterize(), file('deploy'));
    const deploy = await loadModel<Network>(file('deploy'));
    const expected = model.forward(images[0] as Tensor).data;
    expect(relativeL2(deploy.forward(images[0] as Tensor).data, expected)).toBeLessThan(1e-5);
  });

  test('a length of the header that begins as files of other kinds do', async () => {
    const json = JSON.stringify({ w: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } });
    for (const length of [0x280, 0x4b50, 0x108]) {
      const bytes = safetensorsFile(json.padEnd(length), 4);
      expect(Object.keys(await loadStateDict(save('odd-length', bytes)))).toEqual(['w']);
    }
  });

  test('files of other kinds are named, whatever they are called', async () => {
    const tar = Buffer.alloc(1024);
    tar.write('model.pth');
    tar.write('ustar', 257);
    const kinds: [string, string | Buffer][] = [
      [
        'a Git LFS pointer, which only stands for a file: run git lfs pull',
        'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n',
      ],
      ['an HTML page', '\n<!DOCTYPE html><html><body>Sign in</body></html>'],
      ['an HTML page', '<html lang="en"><head><title>é</title>'],
      ['compressed with gzip', gzipSync('weights')],
      ['a tar archive', tar],
      ['an HDF5 file', Buffer.from('\x89HDF\r\n\x1a\n12345678', 'latin1')],
      ['a TensorFlow Lite model', Buffer.from('\x1c\0\0\0TFL3\x14\0', 'latin1')],
      ['JSON', '{"error": "not found"}'],
      ['an XML file', '<?xml version="1.0"?><Error/>'],
      ['a text', 'Not Found, sorry'],
      ['an array of NumPy', Buffer.from('\x93NUMPY\x01\0v\0{', 'latin1')],
      ['a GGUF file', Buffer.from('GGUF\x03\0\0\0\x01', 'latin1')],
      ['an image', Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')],
      ['a ZIP archive of other files', zip([['readme.txt', Buffer.from('x')]])],
    ];
    for (const [words, content] of kinds) {
      for (const name of ['m.safetensors', 'm.pth', 'm']) {
        await expectRejection(loadStateDict(save(name, Buffer.from(content))), 'ERR_MODEL_FORMAT', words);
      }
      if (words.includes('ZIP')) continue;
      await expectRejection(loadModel(file('m.safetensors')), 'ERR_MODEL_FORMAT', words);
      await expectRejection(importOnnx(save('m.onnx', Buffer.from(content))), 'ERR_MODEL_FORMAT', words);
    }
  });

  test('tensors of types without numbers here are left out of a safetensors file', async () => {
    const header = {
      w: { dtype: 'F32', shape: [1], data_offsets: [0, 4] },
      quantized: { dtype: 'F8_E4M3', shape: [4], data_offsets: [4, 8] },
      phase: { dtype: 'C64', shape: [1], data_offsets: [8, 16] },
    };
    expect(Object.keys(await loadStateDict(save('types', safetensorsFile(header, 16))))).toEqual(['w']);
  });

  test('refused: programs, other things; with advice', async () => {
    await expectRejection(loadStateDict(fixture('torchscript.pt')), 'ERR_MODEL_FORMAT', 'TorchScript');
    await expectRejection(loadStateDict(save('empty', Buffer.alloc(0))), 'ERR_MODEL_FORMAT', 'received');
    await expectRejection(
      loadStateDict(fixture('checkpoint.pt'), { key: 'nonsense' }),
      'ERR_MODEL_INCOMPATIBLE',
      'under "nonsense"',
    );
    await expectRejection(
      loadStateDict(fixture('checkpoint.pt'), { prefix: 'x' } as never),
      'ERR_INVALID_ARG',
      '"prefix"',
    );
    await expectRejection(
      loadStateDict(fixture('checkpoint.pt'), { key: 5 } as never),
      'ERR_INVALID_ARG',
      'option key',
    );
  });
});
