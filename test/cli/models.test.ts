import { existsSync } from 'node:fs';
import path from 'node:path';
import { loadModel, type Network, saveModel, saveStateDict } from '../../lib';
import { runNode } from '../support/child';
import { temporaryFolder } from '../support/formats';
import { randomNetwork, tiny } from '../support/networks';

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);
const run = (...args: string[]) => runNode(['dist/cli/index.js', ...args]);

describe('fuse, verify, info', () => {
  const trained = file('trained.safetensors');
  const deploy = file('deploy.safetensors');
  const model = randomNetwork('qarepvgg_a0', { ...tiny, inChannels: 3 });
  beforeAll(() => saveModel(model, trained));

  test('fuse writes the deploy form, or the partial one', async () => {
    const { stdout, status } = run('fuse', trained, deploy);
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /deploy form\): 7 blocks in \d+ ms, [\d,]+ -> [\d,]+ parameters\n.*deploy.safetensors: \d+\.\d KiB\n/,
    );
    expect((await loadModel<Network>(deploy)).stateDict()).toEqual(model.reparameterize().stateDict());
    const result = JSON.parse(run('fuse', trained, file('partial'), '--keep-post-bn', '--json').stdout) as object;
    expect(result).toMatchObject({ form: 'partial', architecture: 'qarepvgg_a0', variant: 'S4', to: file('partial') });
    expect((await loadModel<Network>(file('partial'))).form).toBe('partial');
    expect(run('fuse', file('partial'), file('again')).status).toBe(0);
  });

  test('fuse takes the tensors of other projects', async () => {
    const repvgg = randomNetwork('repvgg_a0');
    await saveStateDict(repvgg.stateDict({ layout: 'timm' }), file('timm'));
    const shape = ['--in-channels', '2', '--size', '17', '--blocks', '2,1,2,1', '--channels', '4,4,8,12,16'];
    const flags = ['--model', 'repvgg_a0', '--layout', 'timm', ...shape];
    expect(run('fuse', file('timm'), deploy, ...flags).status).toBe(0);
    const loaded = await loadModel<Network>(deploy);
    expect(loaded.options.numClasses).toBe(5);
    expect(loaded.stateDict()).toEqual(repvgg.reparameterize().stateDict());
    await saveStateDict(loaded.stateDict({ layout: 'timm' }), file('fused'));
    expect(JSON.parse(run('info', file('fused'), ...flags, '--json').stdout)).toMatchObject({
      form: 'deploy',
      numClasses: 5,
    });
    const other = run('info', file('fused'), ...flags, '--blocks', '1,1,2,1').stderr;
    expect(other).toContain('unexpected: "stages.0.1.reparam_conv.bias", "stages.0.1.reparam_conv.weight"\n');
    const extras = { pointwiseBias: true, alpha: true, averageBranch: true };
    const odd = randomNetwork('qarepvgg_a0', { ...tiny, ...extras });
    await saveStateDict(odd.stateDict({ layout: 'super-gradients' }), file('odd'));
    const named = ['--model', 'qarepvgg_a0', '--layout', 'super-gradients', ...shape];
    const kind = ['--pointwise-bias', '--alpha', '--average-branch'];
    expect(run('fuse', file('odd'), deploy, ...named).stderr).toContain('{ alpha: true, pointwiseBias: true })');
    expect(run('fuse', file('odd'), deploy, ...named, ...kind).status).toBe(0);
    expect((await loadModel<Network>(deploy)).stateDict()).toEqual(odd.reparameterize().stateDict());
    const { stderr, status } = run('fuse', file('timm'), deploy, '--model', 'repvgg_a0', ...shape);
    expect(status).toBe(1);
    const words = 'expected the names of --layout official, received those of --layout timm';
    expect(stderr).toBe(`error: fuse, "${file('timm')}": ${words}\n`);
  });

  test('fuse writes no model with NaN in it, whatever its form is', async () => {
    const shape = ['--in-channels', '3', '--size', '17', '--blocks', '2,1,2,1', '--channels', '4,4,8,12,16'];
    for (const broken of [randomNetwork('qarepvgg_a0', { ...tiny, inChannels: 3 }), model.reparameterize()]) {
      broken.parameters()['linear.weight']?.data.fill(Number.NaN, 3, 4);
      await saveModel(broken, file('broken'));
      const { stderr, status } = run('fuse', file('broken'), file('nothing'), '--model', 'qarepvgg_a0', ...shape);
      expect(status).toBe(1);
      expect(stderr).toContain(`fuse, "${file('broken')}": expected finite tensors`);
      expect(stderr).toContain('others in linear.weight');
      expect(existsSync(file('nothing'))).toBe(false);
    }
  });

  test('verify: a table of all blocks on random and on given images', () => {
    run('fuse', trained, deploy);
    const { stdout, status } = run('verify', trained, 'examples/images/cat.ppm', '--samples', '2');
    expect(status).toBe(0);
    expect(stdout).toContain('2 random images, 1 from files');
    expect(stdout.match(/^ {2}(stage\S+|linear|whole)( +\d\.\de[+-]\d+){3}$/gm)).toHaveLength(9);
    expect(stdout).toContain('The two compute the same');
    const result = JSON.parse(run('verify', trained, '--deploy', deploy, '--json').stdout) as Record<string, unknown>;
    expect(result).toMatchObject({ passed: true, tolerance: 1e-5, samples: 4, images: 0 });
    expect(result.blocks).toHaveLength(8);
  });

  test('verify: a model that cannot have been made of the other', async () => {
    await saveModel(
      randomNetwork('qarepvgg_a0', { ...tiny, inChannels: 3, channels: [4, 4, 8, 16, 16] }),
      file('wide'),
    );
    const { stdout, stderr, status } = run('verify', trained, '--deploy', file('wide'));
    expect({ stdout, status }).toEqual({ stdout: '', status: 1 });
    const words = 'expected channels [4,4,8,12,16], as in the other model, received [4,4,8,16,16]';
    expect(stderr).toBe(`error: verify, "${file('wide')}": ${words}\n`);
  });

  test('verify: exit code 1 beyond the tolerance, and where there is nothing to compare', async () => {
    const wrong = model.reparameterize();
    wrong.parameters()['stage2.0.rbr_reparam.bias']?.data.fill(1);
    await saveModel(wrong, file('wrong'));
    const { stdout, status } = run('verify', trained, '--deploy', file('wrong'));
    expect(status).toBe(1);
    expect(stdout.match(/<- too large/g)).toHaveLength(2);
    expect(stdout).toMatch(/stage2\.0.*<- too large/);
    expect(stdout).toContain('The two DIFFER');
    expect(run('verify', trained, '--tolerance', '1e-12', '--json').status).toBe(1);
    const nothing = run('verify', file('wrong'));
    expect(nothing.status).toBe(1);
    expect(nothing.stderr).toContain('name the file it was made from, and this one with --deploy');
  });

  test('info: of a file, and of an architecture', () => {
    const { stdout, status } = run('info', trained);
    expect(status).toBe(0);
    expect(stdout).toContain('architecture   qarepvgg_a0, variant S4, eps 0.00001');
    expect(stdout).toMatch(/\n {2}stage1\.1 +4 x 5 x 5 +/);
    const { parameters, deployMacs, layers } = JSON.parse(run('info', 'qarepvgg_b3', '--json').stdout);
    expect([parameters, layers.length]).toEqual([123_057_256, 29]);
    expect(Math.round(deployMacs / 1e6)).toBe(26_209);
    expect(run('info', 'nowhere').status).toBe(1);
  });
});

test.each([['train'], ['fuse'], ['verify'], ['info']])(
  '%s --help has examples, and works without the addon',
  (command) => {
    const { stdout, status } = runNode(['dist/cli/index.js', command, '--help'], { QAREPVGG_ISA: 'nonsense' });
    expect(status).toBe(0);
    expect(stdout).toContain(`\n  $ ${command === 'info' ? 'QAREPVGG_ISA=avx2 ' : ''}qarepvgg ${command} `);
  },
);

test.each([
  [['train']],
  [['train', 'x', '--epochs', '0']],
  [['train', 'x', '--optimizer', 'lion']],
  [['train', 'x', '--lr', 'fast']],
  [['train', 'x', '--channels', '1,,2']],
  [['fuse', 'x']],
  [['verify', 'x', '--samples', 'all']],
  [['verify', 'x', '--seed', '-1']],
  [['info', 'x', '--layout', 'keras']],
])('%j makes no sense: exit code 2', (args) => {
  const { stdout, stderr, status } = run(...args);
  expect({ stdout, status }).toEqual({ stdout: '', status: 2 });
  expect(stderr).not.toBe('');
});
