import { types } from 'node:util';

/** Every code that a {@link QARepVGGError} can carry. Codes are stable; messages may change between versions. */
export type ErrorCode =
  | 'ERR_INVALID_ARG'
  | 'ERR_INVALID_STATE'
  | 'ERR_SHAPE'
  | 'ERR_DTYPE'
  | 'ERR_SIZE_OVERFLOW'
  | 'ERR_LIMIT'
  | 'ERR_BUFFER_DETACHED'
  | 'ERR_BUFFER_SHARED'
  | 'ERR_BUFFER_RESIZED'
  | 'ERR_BUFFER_SIZE'
  | 'ERR_MODEL_FORMAT'
  | 'ERR_MODEL_INCOMPATIBLE'
  | 'ERR_NON_FINITE'
  | 'ERR_QUANT_PARAM'
  | 'ERR_OUT_OF_MEMORY'
  | 'ERR_DISPOSED'
  | 'ERR_ABORTED'
  | 'ERR_BUSY'
  | 'ERR_TIMEOUT'
  | 'ERR_CONNECTION'
  | 'ERR_STATUS'
  | 'ERR_PROTOCOL'
  | 'ERR_NOT_FOUND'
  | 'ERR_UNAUTHORIZED'
  | 'ERR_ISA'
  | 'ERR_ADDON_LOAD';

/** Shared through the global symbol registry, so that two copies of the package recognise each other's errors. */
const brand = Symbol.for('qarepvgg.error');

/**
 * The one error class of this package, thrown by TypeScript and by the native addon alike.
 *
 * `instanceof` looks for a brand, not for the prototype: it holds across realms (jest, `node:vm`) and across copies.
 *
 * @example
 * try {
 *   block.forward(tensor([1, 2, 3], [3]));
 * } catch (error) {
 *   if (error instanceof QARepVGGError && error.code === 'ERR_SHAPE') console.error(error.message);
 *   // QARepVGGBlock.forward, input dims: expected 4 dims [n, c, h, w], received [3]
 * }
 */
export class QARepVGGError extends Error {
  readonly code: ErrorCode;
  /** Name of the option at fault, where it is one. */
  declare readonly option?: string;
  /** HTTP status that a server answered with, where that is the error. */
  declare readonly status?: number;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  override get name(): string {
    return 'QARepVGGError';
  }

  get [brand](): true {
    return true;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === 'object' && value !== null && brand in value;
  }
}

/**
 * The place of an error on its way out: '' until there is one. Public functions remove it; errors that others made have none.
 * In the global registry for the reason of {@link brand}.
 */
const placeOfError = Symbol.for('qarepvgg.place');

type Travelling = QARepVGGError & { [placeOfError]?: string };

/** An error whose message says what is wrong. Callers say where: see {@link within} and {@link boundary}. */
export function failure(code: ErrorCode, message: string, options?: ErrorOptions): QARepVGGError {
  const error = new QARepVGGError(code, message, options);
  return Object.defineProperty(error, placeOfError, { value: '', writable: true, configurable: true });
}

/** The same failure under another code, of which an option is not the cause. */
export function recoded(code: ErrorCode, error: QARepVGGError): QARepVGGError {
  const made: Travelling = failure(code, error.message, { cause: error });
  if (isTravelling(error)) made[placeOfError] = error[placeOfError] ?? '';
  return made;
}

/** What was expected and what came, behind the place if that is known. `received` is text; {@link describe} makes it from a value. */
export type Mismatch =
  | readonly [expected: string, received: string]
  | readonly [place: string, expected: string, received: string];

/** A {@link failure} with the message pattern of this package. */
export function mismatch(code: ErrorCode, ...what: Mismatch): QARepVGGError {
  if (what.length === 3) return placed(what[0], mismatch(code, what[1], what[2]));
  return failure(code, `expected ${what[0]}, received ${what[1]}`);
}

/**
 * Puts a place in front of the message of an error that has not yet left a public function; leaves others alone. Places are joined
 * by commas, except one that begins with ' ', '.' or '[': it continues the place in front of it.
 *
 * @returns The same error.
 */
export function placed<T>(place: string, error: T): T {
  if (!isTravelling(error)) return error;
  const { message, stack, [placeOfError]: inner = '' } = error;
  const joint = inner === '' ? ': ' : /^[ .[]/.test(inner) ? '' : ', ';
  error.message = place + joint + message;
  // The engine wrote the message into the stack, too.
  if (stack !== undefined) error.stack = stack.replace(message, () => error.message);
  error[placeOfError] = inner === '' ? place : place + joint + inner;
  return error;
}

/** Calls a function for its result or promise; the errors of this package in it begin with `place`, such as "option method". */
export function within<T>(place: string, call: () => T): T {
  return catching(call, (error) => placed(place, error));
}

/** Same as {@link within}, for work in steps and other generators. */
export function* stepsWithin<Y, T>(place: string, steps: Generator<Y, T>): Generator<Y, T> {
  try {
    return yield* steps;
  } catch (error) {
    throw placed(place, error);
  }
}

/**
 * The body of a public function: its errors begin with the function's name, and others that they pass through add nothing.
 * Errors of the caller's own functions pass as they are.
 */
export function boundary<T>(name: string, call: () => T): T {
  return catching(call, (error) => leaving(name, error));
}

/** What {@link boundary} does to an error, for functions that catch it themselves. */
export function leaving(name: string, error: unknown): unknown {
  const own = isOutOfMemory(error) ? failure('ERR_OUT_OF_MEMORY', 'out of memory', { cause: error }) : error;
  placed(name, own);
  if (isTravelling(own)) delete own[placeOfError];
  return own;
}

function catching<T>(call: () => T, change: (error: unknown) => unknown): T {
  const fail = (error: unknown): never => {
    throw change(error);
  };
  try {
    const result = call();
    return types.isPromise(result) ? (result.catch(fail) as T) : result;
  } catch (error) {
    return fail(error);
  }
}

function isTravelling(error: unknown): error is Travelling {
  return error instanceof QARepVGGError && placeOfError in error;
}

/** Node's C++ wrapper makes objects before the addon's code runs, and reports a failure by its C++ name. */
function isOutOfMemory(error: unknown): boolean {
  return types.isNativeError(error) && error.message === 'std::bad_alloc';
}

const maxShown = 8;
const maxText = 48;

/** A short text for any value. Runs none of the value's own code: no getters, no `toString`, no proxy traps. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > maxText ? `${value.slice(0, maxText)}...` : value);
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value);
    case 'bigint':
      return `${value}n`;
    case 'symbol':
      return 'a symbol';
    case 'function':
      return 'a function';
    case 'object':
      return value === null ? 'null' : describeObject(value);
    default:
      return String(value);
  }
}

/** "[2, 3, 4, 4]"; only the beginning of a long list. */
export function describeList(values: readonly unknown[]): string {
  const shown = values.slice(0, maxShown).map(describe);
  return `[${shown.join(', ')}${values.length > maxShown ? ', ...' : ''}]`;
}

/** A name or path for a message: on one line, and not longer than a screen. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 300 ? `${text.slice(0, 300)}...` : text);
}

/** "an Int32Array", "a Uint8Array" */
function withArticle(name: string): string {
  return `${name.startsWith('I') ? 'an' : 'a'} ${name}`;
}

function describeObject(value: object): string {
  if (types.isProxy(value)) return 'a Proxy';
  if (types.isTypedArray(value)) return withArticle(typedArrayName(value));
  if (types.isDataView(value)) return 'a DataView';
  if (types.isSharedArrayBuffer(value)) return 'a SharedArrayBuffer';
  if (types.isArrayBuffer(value)) return 'an ArrayBuffer';
  if (types.isPromise(value)) return 'a Promise';
  if (types.isMap(value)) return 'a Map';
  if (Array.isArray(value)) return 'an array';
  return 'an object';
}

const typedArrayNameOf = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  Symbol.toStringTag,
)?.get as (this: unknown) => string;

/** The class of a typed array, whatever the object claims to be. */
function typedArrayName(value: NodeJS.TypedArray): string {
  return typedArrayNameOf.call(value);
}
