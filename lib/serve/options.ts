import { join } from 'node:path';
import { describe, mismatch, within } from '../errors';
import { boolean, checkOption, integer, number, oneOf, optional, parseOptions, readForeign } from '../options';
import { defaultThreads } from './engine';
import type { ModelSettings } from './model';
import type { Definition } from './models';
import { modelName } from './repository';
import type { ModelSource, ServeOptions } from './types';

const mebibyte = 2 ** 20;
const day = 86_400_000;

/** Each model has a queue; these are its settings where the model has none of its own. */
const settingFields = {
  maxBatch: optional(integer(1, 4096)),
  queueDelay: optional(number(0, 10_000, 0)),
  maxQueue: optional(integer(1, 65_536)),
  timeout: optional(integer(1, day)),
};

const fields = {
  ...settingFields,
  models: optional(readForeignRecord),
  repository: optional(text),
  host: (value: unknown) => text(value ?? '127.0.0.1'),
  port: integer(0, 65_535, 8080),
  grpcPort: optional(integer(0, 65_535)),
  token: optional(readToken),
  maxQueueBytes: integer(1, Number.MAX_SAFE_INTEGER, 64 * mebibyte),
  maxBody: integer(1, 2 ** 31 - 1, 64 * mebibyte),
  maxPixels: integer(1, 2 ** 30, 2 ** 25),
  maxConnections: integer(1, 1_000_000, 1024),
  threads: optional(integer(1, 1024)),
  watch: boolean(false),
  shutdownDelay: integer(0, day, 0),
  shutdownTimeout: integer(1, day, 30_000),
  tritonMetrics: boolean(false),
  logLevel: oneOf(['silent', 'error', 'warn', 'info', 'debug'], 'warn'),
};

/** The options of a server, defaults filled in. */
export type CheckedServeOptions = ReturnType<typeof checkServeOptions>;

/** @throws {QARepVGGError} ERR_INVALID_ARG naming the option */
export function checkServeOptions(options: ServeOptions) {
  const checked = parseOptions(fields, options);
  const threads = checked.threads ?? defaultThreads();
  const settings: ModelSettings = {
    // A thread computes up to 8 images together.
    maxBatch: checked.maxBatch ?? 8 * threads,
    queueDelay: checked.queueDelay ?? 0,
    maxQueue: checked.maxQueue ?? 128,
    timeout: checked.timeout ?? 30_000,
  };
  const given = checked.models ?? (checked.repository === undefined ? packagedModel() : {});
  const definitions = Object.entries(given).map(([name, model]) =>
    checkOption('models', () => readDefinition(name, model, settings)),
  );
  return { ...checked, threads, settings, definitions };
}

/** The network that comes with the package. */
function packagedModel(): Record<string, ModelSource> {
  return { 'fashion-mnist': join(__dirname, '../../models/fashion-mnist.safetensors') };
}

function readDefinition(name: string, given: unknown, settings: ModelSettings): Definition {
  if (!modelName.test(name)) {
    throw mismatch('ERR_INVALID_ARG', 'names of letters, digits, ".", "_" and "-"', describe(name));
  }
  const isPlain = typeof given === 'object' && given !== null && Object.getPrototypeOf(given) === Object.prototype;
  if (!isPlain) return { name, version: '1', source: given as ModelSource, settings };
  const { model, ...own } = within(describe(name), () => parseOptions({ ...settingFields, model: readSource }, given));
  const overrides = Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined));
  return { name, version: '1', source: model, settings: { ...settings, ...overrides } };
}

function readSource(value: unknown): ModelSource {
  if (typeof value === 'string' || (typeof value === 'object' && value !== null)) return value as ModelSource;
  throw mismatch('ERR_INVALID_ARG', 'a model or the path of a file', describe(value));
}

function readForeignRecord(value: unknown): Record<string, unknown> {
  const record = readForeign(() =>
    typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...(value as object) } : undefined,
  ) as Record<string, unknown> | undefined;
  if (record && Object.keys(record).length > 0) return record;
  throw mismatch('ERR_INVALID_ARG', 'an object of models by name', describe(value));
}

function text(value: unknown): string {
  if (typeof value === 'string' && value !== '') return value;
  throw mismatch('ERR_INVALID_ARG', 'a string', describe(value));
}

/** What fits into a header. */
function readToken(value: unknown): string {
  if (typeof value === 'string' && /^[\x21-\x7e]{8,512}$/.test(value)) return value;
  throw mismatch(
    'ERR_INVALID_ARG',
    '8 to 512 visible ASCII characters',
    typeof value === 'string' ? 'a string of another length or with others' : describe(value),
  );
}
