import { info } from '../../lib';
import { runScript } from '../support/child';

/** Trains, evaluates, fuses and runs asynchronously; prints one hash of every number that comes out. */
const everything = `
  const { createHash } = require('node:crypto');
  const { QARepVGGBlock, RepVGGBlock, randn } = require('.');
  const hash = createHash('sha256');
  const add = ({ data }) => hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  const blocks = [
    [new QARepVGGBlock({ inChannels: 16, outChannels: 16, averageBranch: true, alpha: true }), [3, 16, 19, 23]],
    [new QARepVGGBlock({ inChannels: 20, outChannels: 48, stride: 2, groups: 4 }), [2, 20, 17, 17]],
    [new QARepVGGBlock({ inChannels: 64, outChannels: 64 }), [1, 64, 28, 28]],
    [new RepVGGBlock({ inChannels: 24, outChannels: 24, dilation: 2 }), [5, 24, 9, 9]],
  ];
  (async () => {
    for (const [block, dims] of blocks) {
      for (let step = 0; step < 3; step++) {
        const y = block.forward(randn(dims, { seed: step }));
        add(y);
        add(block.backward(randn(y.dims, { seed: 10 + step })));
        for (const { data, grad } of Object.values(block.parameters())) data.forEach((w, i) => { data[i] = w - 0.01 * grad[i]; });
      }
      const x = randn(dims, { seed: 20 });
      Object.values(block.stateDict()).forEach(add);
      add(block.eval().forward(x));
      add(await block.forwardAsync(x));
      Object.values(block.reparameterize().stateDict()).forEach(add);
      add(block.switchToDeploy().forward(x));
    }
    console.log(hash.digest('hex'));
  })();
`;

function hashOf(env: Record<string, string>): string {
  const { stdout, stderr, status } = runScript(everything, env);
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  expect(stdout).toMatch(/^[0-9a-f]{64}\n$/);
  return stdout;
}

describe.each(info().isas)('on %s', (isa) => {
  const first = hashOf({ QAREPVGG_ISA: isa, QAREPVGG_NUM_THREADS: '1' });

  test.each(['1', '2', '3', '7'])('same bits with %s threads', (threads) => {
    expect(hashOf({ QAREPVGG_ISA: isa, QAREPVGG_NUM_THREADS: threads })).toBe(first);
  });
});

describe('environment', () => {
  const tell = 'const { isa, threads, threadsFrom } = require(".").info(); console.log(isa, threads, threadsFrom)';

  /** What a program sees that imports the package. */
  const importing = `
    try { require('.'); console.log('imported'); }
    catch (error) { console.log(error.name, error.code, error.message); }
  `;

  test.each(info().isas)('QAREPVGG_ISA=%s', (isa) => {
    expect(runScript(tell, { QAREPVGG_ISA: isa }).stdout).toMatch(new RegExp(`^${isa} `));
  });

  test('empty values are as none', () => {
    const none = runScript(tell, { QAREPVGG_ISA: '', QAREPVGG_NUM_THREADS: '' }).stdout;
    expect(none).toBe(`${info().isas.at(-1)} ${info().threads} ${info().threadsFrom}\n`);
  });

  test.each(['avx9000', 'AVX2', 'neondot,scalar', ' '])('QAREPVGG_ISA=%p', (isa) => {
    const { stdout, status } = runScript(importing, { QAREPVGG_ISA: isa });
    expect(stdout).toMatch(/^QARepVGGError ERR_ISA .*expected .*received/);
    expect(stdout).toContain(isa);
    expect(status).toBe(0);
  });

  test('an instruction set of another processor', () => {
    const foreign = process.arch === 'x64' ? 'neon' : 'avx2';
    expect(runScript(importing, { QAREPVGG_ISA: foreign }).stdout).toMatch(/^QARepVGGError ERR_ISA /);
  });

  test('QAREPVGG_NUM_THREADS=7', () => {
    expect(runScript(tell, { QAREPVGG_NUM_THREADS: '7' }).stdout).toMatch(/ 7 QAREPVGG_NUM_THREADS\n$/);
  });

  test.each(['0', '-1', '1000000000', '99999999999999999999', 'NaN', '4 ', '1.5', '0x4'])(
    'QAREPVGG_NUM_THREADS=%p',
    (threads) => {
      const { stdout } = runScript(importing, { QAREPVGG_NUM_THREADS: threads });
      expect(stdout).toMatch(/^QARepVGGError ERR_INVALID_ARG .*QAREPVGG_NUM_THREADS.*received/);
    },
  );

  test('OMP_NUM_THREADS does not count', () => {
    const count = (env: object) => runScript(tell, { OMP_NUM_THREADS: '97', ...env }).stdout;
    expect(count({})).toBe(`${info().isa} ${info().threads} ${info().threadsFrom}\n`);
    expect(hashOf({ OMP_NUM_THREADS: '97', OMP_DYNAMIC: 'true' })).toBe(hashOf({}));
  });
});
