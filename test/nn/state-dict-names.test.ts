import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { createModel, loadStateDict, QARepVGGBlock, type StateDict, saveStateDict } from '../../lib';
import { runNode } from '../support/child';
import { temporaryFolder } from '../support/formats';
import { randomNetwork, tiny } from '../support/networks';
import { expectRefusal } from '../support/refusal';
import { checkpointFile } from '../support/torch-checkpoint';

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);

const model = randomNetwork('qarepvgg_a0');
const state = model.stateDict();
const renamed = (change: (name: string) => string | undefined): StateDict =>
  Object.fromEntries(
    Object.entries(state).flatMap(([name, value]) => {
      const other = change(name);
      return other === undefined ? [] : [[other, value]];
    }),
  );
const fresh = () => createModel('qarepvgg_a0', tiny);

describe('names that state dicts have', () => {
  test('without counters of batches, which then count from 0', () => {
    const other = fresh();
    const result = other.loadStateDict(renamed((name) => (name.endsWith('num_batches_tracked') ? undefined : name)));
    expect(result).toEqual({ missing: [], unexpected: [] });
    const loaded = Object.entries(other.stateDict());
    for (const [name, value] of loaded) {
      expect(value).toEqual(
        name.endsWith('num_batches_tracked') ? { data: Float32Array.of(0), dims: [] } : state[name],
      );
    }
  });

  test('a batch norm without its statistics is refused', () => {
    const lacking = renamed((name) => (/^stage0\.bn\.(?:running_mean|num_batches)/.test(name) ? undefined : name));
    const missing = 'missing: "stage0.bn.running_mean", "stage0.bn.num_batches_tracked"';
    expectRefusal(() => fresh().loadStateDict(lacking), 'ERR_MODEL_INCOMPATIBLE', missing);
  });

  test('counters of dims [1], and scalars of dims []', () => {
    const block = new QARepVGGBlock({ inChannels: 3, outChannels: 3, alpha: true, seed: 1 });
    const own = block.stateDict();
    const changed = Object.fromEntries(
      Object.entries(own).map(([name, { data, dims }]) => [
        name,
        { data, dims: name === 'alpha' ? [] : dims.length === 0 ? [1] : dims },
      ]),
    );
    const other = new QARepVGGBlock({ inChannels: 3, outChannels: 3, alpha: true, seed: 2 });
    other.loadStateDict(changed);
    expect(other.stateDict()).toEqual(own);
  });

  test.each(['module.', 'model.', 'backbone.', '_orig_mod.', 'module._orig_mod.', 'model.backbone.module.'])(
    'the prefix %s',
    (prefix) => {
      const other = fresh();
      const result = other.loadStateDict(renamed((name) => prefix + name));
      expect(result).toEqual({ missing: [], unexpected: [], prefix });
      expect(other.stateDict()).toEqual(state);
    },
  );

  test('a prefix that is given takes a part; one that does not fit is refused', () => {
    const both = { ...renamed((name) => `encoder.${name}`), ...renamed((name) => `head.${name}`) };
    expectRefusal(() => fresh().loadStateDict(both), 'ERR_MODEL_INCOMPATIBLE', 'prefix "encoder." is removed (prefix');
    expect(fresh().loadStateDict(both, { prefix: 'encoder.' })).toEqual({
      missing: [],
      unexpected: [],
      prefix: 'encoder.',
    });
    expectRefusal(() => fresh().loadStateDict(both, { prefix: 'enc' }), 'ERR_MODEL_INCOMPATIBLE', 'missing');
    expectRefusal(() => fresh().loadStateDict(state, { prefix: 5 } as never), 'ERR_INVALID_ARG', 'option prefix');
    const wrapped = renamed((name) => `module.${name}`);
    expectRefusal(() => fresh().loadStateDict(wrapped, { prefix: '' }), 'ERR_MODEL_INCOMPATIBLE', 'missing');
  });

  test('names with 100,000 wrappers', () => {
    const prefix = 'module.'.repeat(100_000);
    const block = new QARepVGGBlock({ inChannels: 2, outChannels: 2 });
    const deep = Object.fromEntries(Object.entries(block.stateDict()).map(([name, value]) => [prefix + name, value]));
    expect(block.loadStateDict(deep).prefix).toHaveLength(prefix.length);
    const { [`${prefix}bn.weight`]: _, ...less } = deep;
    expectRefusal(() => block.loadStateDict(less), 'ERR_MODEL_INCOMPATIBLE', 'missing');
  });

  test('what modules of PyTorch keep beside their tensors', () => {
    const more = { ...state, n_averaged: { data: Float32Array.of(3), dims: [] }, 'stage0._extra_state': {} };
    expect(fresh().loadStateDict(more as never)).toEqual({ missing: [], unexpected: [] });
  });
});

describe('fuse, verify and info say what they took', () => {
  const shape = ['--in-channels', '2', '--size', '17', '--blocks', '2,1,2,1', '--channels', '4,4,8,12,16'];
  const flags = ['--model', 'qarepvgg_a0', ...shape];
  const run = (...args: string[]) => runNode(['dist/cli/index.js', ...args, ...flags]);
  const average = randomNetwork('qarepvgg_a0', tiny, 2).stateDict();
  const save = (name: string, bytes: Uint8Array): string => {
    writeFileSync(file(name), bytes);
    return file(name);
  };

  test('averaged weights first, with all candidates; --key chooses', async () => {
    const from = save('timm.pth', checkpointFile({ state_dict: state, state_dict_ema: average, epoch: 3 }));
    const words = 'state dict: "state_dict_ema", out of "state_dict_ema", "state_dict"; --key takes another\n';
    for (const args of [
      ['info', from],
      ['verify', from],
      ['fuse', from, file('deploy')],
    ]) {
      expect(run(...args).stdout.startsWith(words)).toBe(true);
    }
    expect(JSON.parse(run('fuse', from, file('deploy'), '--json').stdout)).toMatchObject({
      tensors: { key: 'state_dict_ema', candidates: ['state_dict_ema', 'state_dict'], prefix: '' },
    });
    expect(await deployed()).toEqual(await expected(average));
    expect(run('fuse', from, file('deploy'), '--key', 'state_dict').stdout).toContain(
      'state dict: "state_dict", out of',
    );
    expect(await deployed()).toEqual(await expected(state));
  });

  test('prefixes, in files of either kind', async () => {
    const wrapped = renamed((name) => `model._orig_mod.${name}`);
    await saveStateDict(wrapped, file('wrapped.safetensors'));
    const from = save('wrapped.pth', checkpointFile(wrapped));
    for (const name of [file('wrapped.safetensors'), from]) {
      expect(run('info', name).stdout).toMatch(/^prefix: "model\._orig_mod\." removed\n/);
    }
  });

  test('averaged weights beside others in one state dict; --prefix chooses', async () => {
    const named = (prefix: string, weights: StateDict) =>
      Object.fromEntries(Object.entries(weights).map(([name, value]) => [prefix + name, value]));
    await saveStateDict({ ...named('online_model.', state), ...named('ema_model.', average) }, file('both'));
    expect(run('fuse', file('both'), file('deploy')).stdout).toContain(
      'prefix: "ema_model." removed, out of "ema_model.", "online_model."; --prefix takes another\n',
    );
    expect(await deployed()).toEqual(await expected(average));
    expect(run('fuse', file('both'), file('deploy'), '--prefix', 'online_model.').status).toBe(0);
    expect(await deployed()).toEqual(await expected(state));
  });

  async function deployed(): Promise<StateDict> {
    return { ...(await loadStateDict(file('deploy'))) };
  }

  async function expected(weights: StateDict): Promise<StateDict> {
    const network = fresh().eval();
    network.loadStateDict(weights);
    return network.reparameterize().stateDict();
  }
});
