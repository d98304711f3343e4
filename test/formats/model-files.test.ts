import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  createModel,
  exportOnnx,
  InferenceSession,
  importOnnx,
  loadModel,
  loadStateDict,
  type Network,
  QARepVGGBlock,
  randn,
  saveModel,
} from '../../lib';
import { within } from '../../lib/errors';
import { networkCoreOf } from '../../lib/nn/networks/network';
import { bits } from '../support/compare';
import { editedFile, type FileHeader, parseSafetensors, safetensorsFile, temporaryFolder } from '../support/formats';
import { randomNetwork, tiny } from '../support/networks';
import { expectRejection } from '../support/refusal';
import { sweep } from '../support/sweep';

const folder = temporaryFolder();
const x = randn([1, 2, 17, 17], { seed: 1 });
const file = (name: string): string => path.join(folder, name);
const fixture = (name: string): string => path.join(__dirname, '../fixtures/torch', name);

function save(name: string, bytes: Uint8Array): string {
  writeFileSync(file(name), bytes);
  return file(name);
}

/** The parts of a safetensors file. */
function parts(bytes: Buffer): { header: Record<string, Record<string, unknown>>; data: Buffer } {
  const end = 8 + Number(bytes.readBigUInt64LE(0));
  return { header: JSON.parse(bytes.toString('utf8', 8, end)), data: bytes.subarray(end) };
}

/** The same file with some metadata changed or, where undefined, left out; without any if there are no changes. */
function edited(bytes: Buffer, changes: Record<string, string | undefined> | undefined): Buffer {
  return editedFile(bytes, (header) => {
    header.__metadata__ = (changes ? { ...header.__metadata__, ...changes } : {}) as FileHeader['__metadata__'];
  });
}

describe('model files', () => {
  test.each([
    ['qarepvgg_a0', 'train', { labels: ['a', 'b', 'c', 'd', 'ä "quoted"'], seed: 7 }],
    ['qarepvgg_a0', 'partial', { eps: 1e-3, momentum: 0.03 }],
    ['qarepvgg_b1g2', 'deploy', { preprocessing: { mean: [0, 0.1], std: [1, 0.5] } }],
    ['repvgg_a0', 'train', { variant: 'S0', strides: [1, 2, 2, 1, 2] }],
    ['qarepvgg_a0', 'train', { pointwiseBias: true, alpha: true, averageBranch: true }],
    ['repvgg_d2se', 'deploy', {}],
  ] as const)('%s, %s form, %j: what comes back is what was saved', async (name, form, more) => {
    const model = randomNetwork(name, { ...tiny, ...more });
    if (form !== 'train') model.switchToDeploy({ keepPostBn: form === 'partial' });
    await saveModel(model.train(), file('model.safetensors'));
    const loaded = await loadModel<Network>(file('model.safetensors'));
    expect([loaded.form, loaded.training]).toEqual([form, false]);
    expect(loaded.options).toEqual(model.options);
    expect(loaded.stateDict()).toEqual(model.stateDict());
    expect(bits(loaded.forward(x))).toBe(bits(model.eval().forward(x)));
  });

  test('metadata are texts that other software can read', async () => {
    await saveModel(createModel('qarepvgg_a0', tiny), file('model.safetensors'));
    const { metadata } = parseSafetensors(readFileSync(file('model.safetensors')));
    expect(metadata).toMatchObject({ format: 'pt', producer: 'qarepvgg', formatVersion: '1', layout: 'official' });
    expect(metadata).toMatchObject({ architecture: 'qarepvgg_a0', variant: 'S4', form: 'train', eps: '0.00001' });
    expect(metadata).toMatchObject({ channels: '[4,4,8,12,16]', preprocessing: '{"mean":[0.5,0.5],"std":[0.5,0.5]}' });
  });

  test('the tensors are used where they are in the file; in any other order they are copied', async () => {
    const model = randomNetwork('qarepvgg_a0');
    await saveModel(model, file('model.safetensors'));
    const values = (network: Network): Float32Array =>
      within('test', () => networkCoreOf(network)).definition.store.values;
    const loaded = await loadModel<Network>(file('model.safetensors'));
    expect(values(loaded).buffer).toBe(loaded.parameters()['linear.bias']?.data.buffer);
    expect(
      Buffer.compare(Buffer.from(values(loaded).buffer), parts(readFileSync(file('model.safetensors'))).data),
    ).toBe(0);

    const { header, data } = parts(readFileSync(file('model.safetensors')));
    const { __metadata__, ...entries } = header;
    delete __metadata__?.checksum;
    let position = 0;
    const pieces = Object.entries(entries)
      .reverse()
      .map(([name, entry]) => {
        const [begin, end] = entry.data_offsets as [number, number];
        entries[name] = { ...entry, data_offsets: [position, position + end - begin] };
        position += end - begin;
        return data.subarray(begin, end);
      });
    const reversed = Buffer.concat([safetensorsFile({ __metadata__, ...entries }, 0), ...pieces]);
    expect(bits((await loadModel<Network>(save('reversed', reversed))).forward(x))).toBe(bits(model.forward(x)));
  });

  test('every truncation, and a bit of every byte turned over, is refused', async () => {
    const one = { numClasses: 1, inChannels: 1, inputSize: 8, blocks: [1, 1, 1, 1], channels: [1, 1, 1, 1, 1] };
    await saveModel(createModel('qarepvgg_a0', one).eval().switchToDeploy(), file('small'));
    const whole = readFileSync(file('small'));
    const codes = new Set<string>();
    const attempt = async (bytes: Buffer): Promise<void> => {
      const code = await loadModel(save('broken', bytes)).then(
        () => 'none',
        (error: { code?: string }) => error.code,
      );
      codes.add(`${code}`);
    };
    for (let length = 0; length < whole.length; length++) await attempt(whole.subarray(0, length));
    expect([...codes]).toEqual(['ERR_MODEL_FORMAT']);
    for (const shift of sweep([0, 1, 2, 3, 4, 5, 6, 7], 1)) {
      for (let i = 0; i < whole.length; i++) {
        const bytes = Buffer.from(whole);
        bytes[i] = (bytes[i] as number) ^ (1 << ((i + shift) % 8));
        await attempt(bytes);
      }
    }
    expect([...codes]).toEqual(['ERR_MODEL_FORMAT']);
  }, 300_000);

  test.each<[string, Record<string, string | undefined> | undefined, string]>([
    ['no metadata', undefined, 'make the network with createModel'],
    ['a version to come', { formatVersion: '3' }, 'a newer release of qarepvgg'],
    ['no such form', { form: 'int4' }, 'form: expected train, partial, deploy'],
    ['another layout', { layout: 'timm' }, 'layout: expected "official"'],
    ['no such architecture', { architecture: 'resnet50' }, 'received "resnet50"'],
    ['an option is missing', { eps: undefined }, 'expected metadata eps, received none'],
    ['an option is no JSON', { blocks: '[1,' }, 'metadata blocks: expected JSON'],
    ['an option is wrong', { eps: '-1' }, 'option eps'],
    ['fewer labels than classes', { labels: '["a"]' }, 'option labels: expected 5 names'],
    ['a network that would fill the memory', { channels: '[65536,65536,65536,65536,65536]' }, 'as the metadata say'],
    [
      'another form',
      { form: 'deploy' },
      'rbr_reparam.weight" of dims [4, 2, 3, 3], as the metadata say, received none',
    ],
    ['fewer blocks', { blocks: '[1,1,2,1]' }, 'received also "stage1.1.bn.bias"'],
  ])('refused: %s', async (_, changes, message) => {
    await saveModel(createModel('qarepvgg_a0', tiny), file('good'));
    const path = save('bad', edited(readFileSync(file('good')), changes));
    await expectRejection(loadModel(path), 'ERR_MODEL_FORMAT', message);
  });

  test('files of another kind are refused with advice, whatever their names', async () => {
    const model = randomNetwork('qarepvgg_a0').switchToDeploy();
    await exportOnnx(model, file('model.onnx'));
    await exportOnnx(model, file('graph'));
    await saveModel(model, file('weights'));
    copyFileSync(file('weights'), file('weights.onnx'));
    for (const name of ['model.onnx', 'graph']) {
      await expectRejection(loadModel(file(name)), 'ERR_MODEL_FORMAT', 'an ONNX file; read it with importOnnx');
      await expectRejection(loadStateDict(file(name)), 'ERR_MODEL_FORMAT', 'an ONNX file; read it with importOnnx');
    }
    for (const name of ['weights', 'weights.onnx']) {
      await expectRejection(importOnnx(file(name)), 'ERR_MODEL_FORMAT', 'a safetensors file; read it with loadModel');
    }
    for (const read of [loadModel, importOnnx]) {
      await expectRejection(read(fixture('state_dict.pt')), 'ERR_MODEL_FORMAT', 'read it with loadStateDict');
    }
    await expectRejection(InferenceSession.create(file('graph')), 'ERR_MODEL_FORMAT', 'a name that ends in .onnx');
  });

  test('a name that ends as those of another kind is refused; any other is as good as the next', async () => {
    const model = randomNetwork('qarepvgg_a0').switchToDeploy();
    await expectRejection(saveModel(model, file('a.ONNX')), 'ERR_INVALID_ARG', 'which exportOnnx');
    await expectRejection(exportOnnx(model, file('a.safetensors')), 'ERR_INVALID_ARG', 'which saveModel');
    expect(readdirSync(folder).filter((name) => name.startsWith('a.'))).toEqual([]);
    await saveModel(model, file('a.bin'));
    await exportOnnx(model, file('b.bin'));
    expect((await loadModel<Network>(file('a.bin'))).stateDict()).toEqual(
      (await importOnnx<Network>(file('b.bin'))).stateDict(),
    );
  });

  test('what is no network, and no path', async () => {
    const block = new QARepVGGBlock({ inChannels: 3, outChannels: 3 });
    await expectRejection(saveModel(block as never, file('x')), 'ERR_INVALID_ARG', 'a network made by createModel');
    await expectRejection(saveModel(createModel('qarepvgg_a0', tiny), folder), 'ERR_INVALID_ARG', 'a folder');
    await expectRejection(loadModel(file('nowhere')), 'ERR_INVALID_ARG', 'ENOENT');
    await expectRejection(loadModel(5 as never), 'ERR_INVALID_ARG', 'a path');
    await expectRejection(loadModel(fixture('state_dict.pt')), 'ERR_MODEL_FORMAT', 'received');
  });
});
