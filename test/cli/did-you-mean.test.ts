import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createModel, InferenceSession, loadModel, quantize, randn } from '../../lib';
import { didYouMean } from '../../lib/did-you-mean';
import { architectureNames } from '../../lib/nn/networks/architectures';
import { allLayouts } from '../../lib/nn/state/layouts';
import { temporaryFolder } from '../support/formats';
import { deployNetwork, tiny } from '../support/networks';
import { expectRefusal, expectRejection } from '../support/refusal';

test.each([
  ['qarepvgg-a0', 'qarepvgg_a0'],
  ['QARepVGG_B1G4', 'qarepvgg_b1g4'],
  ['repvgga2', 'repvgg_a2'],
  ['qarepvgg', 'qarepvgg_a0'],
  ['qarpevgg_b3', 'qarepvgg_b3'], // neighbours swapped
])('%s: did you mean %s?', (text, name) => {
  expect(didYouMean(text, architectureNames)).toBe(`; did you mean "${name}"?`);
});

test('layouts', () => {
  expect(didYouMean('supergradients', allLayouts)).toBe('; did you mean "super-gradients"?');
  expect(didYouMean('tim', allLayouts)).toBe('; did you mean "timm"?');
});

test.each(['resnet50', '', '---', 'x'.repeat(1e6), 17, undefined, null])('nothing is like %p', (text) => {
  expect(didYouMean(text, architectureNames)).toBe('');
});

test('errors of the API say it', async () => {
  expectRefusal(() => createModel('qarepvgg-a0' as never), 'ERR_INVALID_ARG', '; did you mean "qarepvgg_a0"?');
  const misspelt = { numclasses: 3 } as object;
  expectRefusal(() => createModel('qarepvgg_a0', misspelt), 'ERR_INVALID_ARG', '; did you mean "numClasses"?');
  const model = deployNetwork('qarepvgg_a0', tiny);
  expectRefusal(() => model.stateDict({ layout: 'tim' as never }), 'ERR_INVALID_ARG', '; did you mean "timm"?');
  await expect(quantize(model, [randn([1, 2, 17, 17])], { keepFloat: ['stage2.O'] })).rejects.toThrow(
    '; did you mean "stage2.0"?',
  );
});

describe('names in files and sessions', () => {
  const folder = temporaryFolder();

  test('a file that is missing: the one beside it', async () => {
    writeFileSync(join(folder, 'model.safetensors'), '');
    const missing = loadModel(join(folder, 'modle.safetensors'));
    await expectRejection(
      missing,
      'ERR_INVALID_ARG',
      'ENOENT (no such file or directory); did you mean "model.safetensors"?',
    );
    await expect(loadModel(join(folder, 'other.txt'))).rejects.toThrow(/directory\)$/);
  });

  test('inputs and outputs of a session', async () => {
    const session = await InferenceSession.create(deployNetwork('qarepvgg_a0', tiny));
    const input = randn([1, 2, 17, 17]);
    await expectRejection(session.run({ Input: input } as never), 'ERR_INVALID_ARG', '; did you mean "input"?');
    await expectRejection(session.run({ input }, ['logit']), 'ERR_INVALID_ARG', '; did you mean "logits"?');
    session.dispose();
  });
});
