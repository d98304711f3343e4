import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  type BlockOptions,
  createModel,
  loadModel,
  loadStateDict,
  type Network,
  QARepVGGBlock,
  RepVGGBlock,
  randn,
  saveModel,
  saveStateDict,
  type Tensor,
} from '../../lib';
import { relativeL2 } from '../support/compare';
import { parseSafetensors, safetensorsFile, temporaryFolder } from '../support/formats';
import { randomNetwork, tiny } from '../support/networks';
import { expectRefusal, expectRejection } from '../support/refusal';

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);
const options: BlockOptions = { inChannels: 6, outChannels: 6, pointwiseBias: true, seed: 3 };

/** The same function with an identity: what that adds is taken off the 1x1. */
function withIdentity(block: QARepVGGBlock): QARepVGGBlock {
  const state = block.stateDict();
  const { data } = state['rbr_1x1.weight'] as Tensor;
  for (let i = 0; i < options.outChannels; i++)
    data[i * options.inChannels + i] = (data[i * options.inChannels + i] as number) - 1;
  const other = new QARepVGGBlock(options);
  other.loadStateDict({ ...state });
  return other;
}

describe('blocks without identity', () => {
  test('compute what their names hide: forward, backward, running statistics, deploy form', () => {
    const block = new QARepVGGBlock({ ...options, identity: false });
    const other = withIdentity(block);
    const [x, gradient] = [randn([2, 6, 5, 5], { seed: 1 }), randn([2, 6, 5, 5], { seed: 2 })];
    const close = (a: Float32Array, b: Float32Array) => expect(relativeL2(a, b)).toBeLessThan(1e-5);
    close(block.forward(x).data, other.forward(x).data);
    close(block.backward(gradient).data, other.backward(gradient).data);
    close(
      block.parameters()['rbr_1x1.weight']?.grad as Float32Array,
      other.parameters()['rbr_1x1.weight']?.grad as Float32Array,
    );
    close(
      block.stateDict()['bn.running_var']?.data as Float32Array,
      other.stateDict()['bn.running_var']?.data as Float32Array,
    );
    const [plain, same] = [block.eval().forward(x).data, other.eval().forward(x).data];
    close(plain, same);
    close(block.reparameterize().forward(x).data, plain);
    const wrong = new QARepVGGBlock(options).eval();
    wrong.loadStateDict({ ...block.stateDict() });
    expect(relativeL2(wrong.forward(x).data, plain)).toBeGreaterThan(0.1);
  });

  test('have the same names in S2 to S4, none of the identity in S0 and S1', () => {
    for (const variant of ['S2', 'S3', 'S4'] as const) {
      const names = (identity: boolean) =>
        Object.keys(new QARepVGGBlock({ ...options, variant, identity }).stateDict());
      expect(names(false)).toEqual(names(true));
    }
    const plain = new RepVGGBlock({ inChannels: 6, outChannels: 6, identity: false }).stateDict();
    expect(Object.keys(plain).filter((name) => name.includes('identity'))).toEqual([]);
    const load = () => new RepVGGBlock({ inChannels: 6, outChannels: 6 }).loadStateDict(plain);
    expectRefusal(load, 'ERR_MODEL_INCOMPATIBLE', 'or with identity: false');
  });

  test('refuse weights that were made with one, and the other way round', async () => {
    const [plain, residual] = [new QARepVGGBlock({ ...options, identity: false }), new QARepVGGBlock(options)];
    expectRefusal(
      () => plain.loadStateDict(residual.stateDict()),
      'ERR_MODEL_INCOMPATIBLE',
      'identity false, received true',
    );
    await saveStateDict(plain.stateDict(), file('block'));
    const read = await loadStateDict(file('block'));
    expectRefusal(() => residual.loadStateDict(read), 'ERR_MODEL_INCOMPATIBLE', 'make the module with identity false');
    expect(plain.loadStateDict(read)).toEqual({ missing: [], unexpected: [] });
  });

  test('have no average pool beside it, and take nothing but true and false', () => {
    const make = (more: object) => () => new QARepVGGBlock({ ...options, ...more });
    expectRefusal(
      make({ identity: false, averageBranch: true }),
      'ERR_INVALID_ARG',
      'averageBranch: expected false when identity is false',
    );
    expectRefusal(make({ identity: 1 }), 'ERR_INVALID_ARG', 'option identity');
    const network = () => createModel('qarepvgg_a0', { ...tiny, identity: false, averageBranch: true });
    expectRefusal(network, 'ERR_INVALID_ARG', 'averageBranch');
  });
});

describe('networks without identity', () => {
  const x = randn([1, 2, 17, 17], { seed: 1 });
  const model = randomNetwork('qarepvgg_a0', { ...tiny, identity: false });

  test('keep it in their files, which older versions refuse', async () => {
    await saveModel(model, file('model'));
    expect(parseSafetensors(readFileSync(file('model'))).metadata).toMatchObject({
      identity: 'false',
      formatVersion: '2',
    });
    const loaded = await loadModel<Network>(file('model'));
    expect(loaded.options.identity).toBe(false);
    const logits = model.forward(x).data;
    expect(loaded.forward(x).data).toEqual(logits);
    expect(relativeL2(loaded.reparameterize().forward(x).data, logits)).toBeLessThan(1e-5);
    const weights = await loadStateDict(file('model'));
    const load = () => createModel('qarepvgg_a0', tiny).loadStateDict(weights);
    expectRefusal(load, 'ERR_MODEL_INCOMPATIBLE', 'identity true, received false');
  });

  test('a file of an older version has one', async () => {
    await saveModel(randomNetwork('qarepvgg_a0'), file('older'));
    const bytes = readFileSync(file('older'));
    const end = 8 + Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.toString('utf8', 8, end)) as { __metadata__: Record<string, string> };
    const { identity, checksum: _, ...metadata } = header.__metadata__;
    expect(identity).toBe('true');
    const save = (more: object) => {
      const start = safetensorsFile({ ...header, __metadata__: { ...metadata, ...more } }, 0);
      writeFileSync(file('older'), Buffer.concat([start, bytes.subarray(end)]));
    };
    save({});
    expect((await loadModel(file('older'))).options.identity).toBe(true);
    save({ identity: 'maybe' });
    await expectRejection(loadModel(file('older')), 'ERR_MODEL_FORMAT', 'identity');
  });
});
