import { createModel, quantize, randn } from '../../lib';
import { didYouMean } from '../../lib/did-you-mean';
import { architectureNames } from '../../lib/nn/networks/architectures';
import { allLayouts } from '../../lib/nn/state/layouts';
import { deployNetwork, tiny } from '../support/networks';
import { expectRefusal } from '../support/refusal';

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
