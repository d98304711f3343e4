import { runScript } from './support/child';

/**
 * A published network at 224 x 224, in a process of its own, where random numbers are quick to make: its batch norms have
 * random statistics, weights and biases, and the deploy form is compared with the train form.
 */
const script = (name: string): string => `
  const { createModel, randn, verifyEquivalence } = require('.');
  const { Random } = require('./dist/random');
  const model = createModel('${name}').eval();
  const random = new Random(1);
  const state = model.stateDict();
  for (const [key, { data, dims }] of Object.entries(state)) {
    if (key.endsWith('running_var')) random.fillUniform(data, 0.5, 2);
    else if (key.includes('1x1') && dims.length === 4) random.fillNormal(data, 0, 1 / Math.sqrt(dims[1]));
    else if (/(bn|identity)\\.weight$/.test(key)) random.fillUniform(data, 0.5, 1.5);
    else if (/(bn|identity)\\.(bias|running_mean)$/.test(key)) random.fillNormal(data, 0, 0.3);
  }
  model.loadStateDict(state);
  const { whole, blocks } = verifyEquivalence(model, model.reparameterize(), { samples: 1 });
  console.log(JSON.stringify({ whole: whole.relativeL2, block: Math.max(...blocks.map((block) => block.relativeL2)) }));
`;

test.each([['qarepvgg_a0'], ['qarepvgg_a1'], ['qarepvgg_a2'], ['qarepvgg_b0'], ['qarepvgg_b1'], ['repvgg_a0']])(
  '%s: deploy form against train form',
  (name) => {
    const { stdout, stderr } = runScript(script(name));
    expect(stderr).toBe('');
    const { whole, block } = JSON.parse(stdout) as { whole: number; block: number };
    expect(whole).toBeGreaterThan(0);
    expect(whole).toBeLessThanOrEqual(1e-5);
    expect(block).toBeLessThanOrEqual(3e-6);
  },
);
