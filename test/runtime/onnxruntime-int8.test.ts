import { info, type NetworkOptions, type QuantizeOptions } from '../../lib';
import { jsonOf } from '../support/child';
import { sweep } from '../support/sweep';

/** A network, or the file of one, and how it is quantised. */
interface Case {
  readonly architecture?: string;
  readonly options?: NetworkOptions;
  readonly file?: string;
  readonly quantize?: QuantizeOptions;
  /** With pixels that are NaN or infinite. */
  readonly odd?: boolean;
}

interface Result {
  readonly different: number;
  readonly relativeL2: number;
}

/** In a process of its own, see onnxruntime.test.ts: what our session and onnxruntime make of quantised models. */
function compare(cases: readonly (readonly [name: string, what: Case])[]): Record<string, Result> {
  const results = jsonOf<Record<string, Result>>(['test/support/onnxruntime-int8.mjs', JSON.stringify(cases)]);
  expect(Object.keys(results)).toEqual(cases.map(([name]) => name));
  return results;
}

/** Without these instructions onnxruntime adds pairs of products in 16 bits, which saturates. */
const isExact = info().isas.some((isa) => isa.endsWith('vnni'));

function expectSameBits(cases: readonly (readonly [string, Case])[]): void {
  for (const [name, result] of Object.entries(compare(cases))) {
    if (isExact) expect([name, result]).toEqual([name, { different: 0, relativeL2: 0 }]);
    else expect(result.relativeL2).toBeLessThan(0.1);
  }
}

const narrow = { inputSize: 64, numClasses: 100, channels: [16, 32, 48, 64, 160] };
const [architecture, quantizeLogits] = ['qarepvgg_a0', true];

test('rounded logits are the same bits: methods, schemes, bits', () => {
  const recipes: QuantizeOptions[] = [
    ...(['mse', 'minmax', 'percentile', 'entropy'] as const).map((method) => ({ method })),
    { scheme: 'symmetric', method: 'minmax', perChannel: false },
    { bits: 5, method: 'entropy' },
    { equalize: true, perChannel: false },
  ];
  const named = recipes.map((recipe) => {
    const what = { architecture, options: narrow, quantize: { ...recipe, quantizeLogits } };
    return [JSON.stringify(recipe), what] as const;
  });
  expectSameBits([
    ...named,
    ['odd sides', { architecture, options: { ...narrow, inputSize: 45 }, quantize: { quantizeLogits } }],
    ['pixels that are not finite', { architecture, options: narrow, quantize: { quantizeLogits }, odd: true }],
    ['shipped', { file: 'models/fashion-mnist.safetensors', quantize: { quantizeLogits } }],
  ]);
});

test.each(sweep(['qarepvgg_a0', 'qarepvgg_b0', 'qarepvgg_b1g4'], 1))('rounded logits are the same bits: %s', (name) => {
  expectSameBits([[name, { architecture: name, options: { inputSize: 64 }, quantize: { quantizeLogits } }]]);
});

test('logits in float differ by rounding', () => {
  const cases = ['qarepvgg_a0', 'qarepvgg_b1g4'].map(
    (name) => [name, { architecture: name, options: narrow }] as const,
  );
  const results = compare([...cases, ['shipped', { file: 'models/fashion-mnist.safetensors' }]]);
  const differences = Object.values(results).map(({ relativeL2 }) => relativeL2);
  expect(Math.max(...differences)).toBeLessThan(isExact ? 1e-6 : 0.1);
});

test('layers in float between others: nearly the same', () => {
  // A float that differs in its last bit may round to another integer.
  const results = compare([
    ['kept', { architecture, options: narrow, quantize: { keepFloat: ['stage1.1', 'linear'] } }],
    ['gates', { architecture: 'qarepvgg_d2se', options: { ...narrow, inputSize: 32 } }],
  ]);
  for (const { relativeL2 } of Object.values(results)) expect(relativeL2).toBeLessThan(isExact ? 0.01 : 0.1);
});
