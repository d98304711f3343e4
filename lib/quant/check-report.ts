import { describe, mismatch, within } from '../errors';
import { type Field, optional, readForeign } from '../options';
import type { QuantizationReport } from './report';

/** Throws if the value at `where` is not valid. */
type Check = Field<void>;

const that =
  (expected: string, isGood: (value: unknown) => boolean): Check =>
  (value) => {
    if (!isGood(value)) throw mismatch('ERR_INVALID_ARG', expected, describe(value));
  };

const text = that('text', (value) => typeof value === 'string');
const numeric = that('a number', (value) => typeof value === 'number');
/** Infinite numbers become null in JSON. */
const decibels = that('a number or null', (value) => typeof value === 'number' || value === null);

const record =
  (fields: Readonly<Record<string, Check>>): Check =>
  (value) => {
    that('an object', (one) => typeof one === 'object' && one !== null)(value);
    for (const [name, check] of Object.entries(fields)) {
      within(`.${name}`, () => check((value as Record<string, unknown>)[name]));
    }
  };

const list =
  (entry: Check): Check =>
  (value) => {
    that('a list that is not empty', (one) => Array.isArray(one) && one.length > 0)(value);
    (value as readonly unknown[]).forEach((one, i) => {
      within(`[${i}]`, () => entry(one));
    });
  };

/** Same as {@link list}, but may be empty. */
const anyList =
  (entry: Check): Check =>
  (value) => {
    that('a list', Array.isArray)(value);
    if ((value as readonly unknown[]).length > 0) list(entry)(value);
  };

const bins = record({ low: numeric, high: numeric, counts: list(numeric) });
const weights = record({ sqnr: decibels, channels: list(numeric), histogram: bins });
const activations = {
  min: numeric,
  max: numeric,
  scale: optional(numeric),
  zeroPoint: optional(numeric),
  saturation: numeric,
  activations: bins,
  sqnr: decibels,
};
const layer = record({
  name: text,
  kind: text,
  precision: text,
  reason: optional(text),
  ...activations,
  weights: optional(weights),
});
const output = record({ name: text, judgedBy: optional(anyList(text)), ...activations });
const advice = record({ keepFloat: anyList(text), sqnr: decibels });
const recipe = record({ method: text, scheme: text, weightBits: numeric, activationBits: numeric, images: numeric });
const accuracy = record({ images: numeric, float: numeric, quantized: numeric, agreement: numeric });
const fields = {
  createdAt: optional(text),
  model: text,
  recipe,
  bytes: numeric,
  floatBytes: numeric,
  layers: list(layer),
};
const report = record({
  ...fields,
  output: record(activations),
  accuracy: optional(accuracy),
  outputs: optional(anyList(output)),
  advice: optional(advice),
});

/** @throws {QARepVGGError} ERR_INVALID_ARG naming the first value that differs from a report of `quantize`, also after JSON. */
export function checkReport(value: unknown): asserts value is QuantizationReport {
  readForeign(() => report(value));
}
