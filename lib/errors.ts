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
 * An error with the message pattern of this package: where it happened, what was expected, what came.
 * `received` is text; {@link describe} makes it from a value.
 */
export function mismatch(code: ErrorCode, where: string, expected: string, received: string): QARepVGGError {
  return new QARepVGGError(code, `${where}: expected ${expected}, received ${received}`);
}

/**
 * Calls the addon, which does not know its caller: its errors, thrown or rejected, get the place that all messages begin with.
 */
export function callNative<T>(where: string, call: () => T): T {
  const fail = (error: unknown): never => {
    // Node's C++ wrapper makes objects before our code runs, and reports a failure by its C++ name.
    if (types.isNativeError(error) && error.message === 'std::bad_alloc') {
      throw new QARepVGGError('ERR_OUT_OF_MEMORY', `${where}: out of memory`, { cause: error });
    }
    if (!(error instanceof QARepVGGError)) throw error;
    throw new QARepVGGError(error.code, `${where}: ${error.message}`, { cause: error });
  };
  try {
    const result = call();
    return types.isPromise(result) ? (result.catch(fail) as T) : result;
  } catch (error) {
    return fail(error);
  }
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

function describeObject(value: object): string {
  if (types.isProxy(value)) return 'a Proxy';
  if (types.isTypedArray(value)) return `a ${typedArrayName(value)}`;
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
