import type { Agent } from 'node:http';
import { describe, mismatch, within } from '../errors';
import { boolean, type Field, integer, optional, type Parsed, readForeign } from '../options';
import { signalField } from '../runtime/abort';
import type { Parameters } from './types';

/** Options of {@link connect}. */
export interface ClientOptions {
  /** Sent as a bearer token with every request. */
  readonly token?: string;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** For all tries of a call together, in milliseconds. @default 30000 */
  readonly timeout?: number;
  /** How often a call is tried again after a status of 503 or a failed connection. @default 3 */
  readonly retries?: number;
  /** The most connections; they are kept alive between calls. @default 64 */
  readonly connections?: number;
  /** Largest answer that is read. @default 268435456 */
  readonly maxResponseBytes?: number;
  /** An agent of `node:https`, with the certificates to use. `close()` does not destroy it. */
  readonly agent?: Agent;
}

/** Options of every call. */
export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Replaces the client's timeout. */
  readonly timeout?: number;
}

/** Options of calls that concern one model. */
export interface ModelOptions extends CallOptions {
  readonly version?: string;
}

/** Options of {@link InferenceClient.infer}. */
export interface InferOptions extends ModelOptions {
  /** Names of the outputs wanted; default all. */
  readonly outputs?: readonly string[];
  /** Comes back with the answer. */
  readonly id?: string;
  readonly parameters?: Parameters;
  /** Further headers, such as `traceparent`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Tensors as bytes rather than JSON, both ways. @default true */
  readonly binary?: boolean;
}

/** Options of {@link InferenceClient.classify}. */
export interface ClassifyOptions extends ModelOptions {
  /** How many classes. @default 5 */
  readonly top?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

export const text: Field<string> = (value) => {
  if (typeof value === 'string' && value !== '') return value;
  throw mismatch('ERR_INVALID_ARG', 'a string', describe(value));
};

/** An object's own properties, each checked. */
function record<T>(check: (value: unknown) => boolean, expected: string): Field<Record<string, T>> {
  return (value = {}) => {
    if (typeof value !== 'object' || value === null) throw mismatch('ERR_INVALID_ARG', 'an object', describe(value));
    const copy = readForeign(() => ({ ...value })) as Record<string, unknown>;
    for (const [name, item] of Object.entries(copy)) {
      if (!check(item)) throw mismatch('ERR_INVALID_ARG', name, expected, describe(item));
    }
    return copy as Record<string, T>;
  };
}

const headers = record<string>((value) => typeof value === 'string', 'a string');

const parameters = record<string | number | boolean>(
  (value) => ['string', 'boolean'].includes(typeof value) || Number.isFinite(value),
  'a string, a number or a boolean',
);

const names: Field<string[]> = (value) => {
  if (Array.isArray(value) && value.length > 0) return value.map((name, i) => within(`[${i}]`, () => text(name)));
  throw mismatch('ERR_INVALID_ARG', 'a list of names', describe(value));
};

const milliseconds = integer(1, 2 ** 31 - 1);

const agent: Field<Agent> = (value) => {
  if (typeof value === 'object' && value !== null && 'addRequest' in value) return value as unknown as Agent;
  throw mismatch('ERR_INVALID_ARG', 'an agent of node:http or node:https', describe(value));
};

export const clientFields = {
  token: optional(text),
  headers,
  timeout: integer(1, 2 ** 31 - 1, 30_000),
  retries: integer(0, 100, 3),
  connections: integer(1, 65_535, 64),
  maxResponseBytes: integer(1, 2 ** 32, 2 ** 28),
  agent: optional(agent),
};

export const callFields = { signal: signalField, timeout: optional(milliseconds) };

export const modelFields = { ...callFields, version: optional(text) };

export const inferFields = {
  ...modelFields,
  outputs: optional(names),
  id: optional(text),
  parameters,
  headers,
  binary: boolean(true),
};

export const classifyFields = { ...modelFields, top: integer(1, 65_536, 5), headers };

export type Settings = Parsed<typeof clientFields>;
export type CheckedCall = Parsed<typeof callFields>;
