import vm from 'node:vm';
import type { ErrorCode } from '../../lib';

/** A value that must be refused: what it is, the code, and the words that the message must have. */
export type Hostile = readonly [title: string, code: ErrorCode, message: string, make: () => unknown];

const throwing = () => {
  throw new RangeError('thrown by the caller');
};

/** Dims that are no dims of 24 numbers in four dimensions. */
export const hostileDims: readonly Hostile[] = [
  ['a zero', 'ERR_SHAPE', 'dims[0]', () => [0, 3, 2, 4]],
  ['all zeros', 'ERR_SHAPE', 'dims[0]', () => [0, 0, 0, 0]],
  ['a negative', 'ERR_SHAPE', 'dims[1]', () => [1, -3, 2, 4]],
  ['a negative zero', 'ERR_SHAPE', 'received -0', () => [1, 3, -0, 4]],
  ['a fraction', 'ERR_SHAPE', 'received 2.5', () => [1, 3, 2.5, 4]],
  ['NaN', 'ERR_SHAPE', 'received NaN', () => [Number.NaN, 3, 2, 4]],
  ['Infinity', 'ERR_SHAPE', 'received Infinity', () => [Number.POSITIVE_INFINITY, 3, 2, 4]],
  ['a BigInt', 'ERR_SHAPE', 'received 3n', () => [1, 3n, 2, 4]],
  ['a numeric string', 'ERR_SHAPE', 'received "3"', () => [1, '3', 2, 4]],
  ['null inside', 'ERR_SHAPE', 'received null', () => [1, 3, null, 4]],
  ['an object that turns into a number', 'ERR_SHAPE', 'dims[1]', () => [1, { valueOf: () => 3 }, 2, 4]],
  // biome-ignore lint/suspicious/noSparseArray: the hole is what is tested
  ['a hole', 'ERR_SHAPE', 'received undefined', () => [1, , 2, 4]],
  ['null', 'ERR_SHAPE', 'received null', () => null],
  ['a string', 'ERR_SHAPE', 'received "1324"', () => '1324'],
  ['array-like', 'ERR_SHAPE', 'received an object', () => ({ 0: 1, 1: 3, 2: 2, 3: 4, length: 4 })],
  ['a typed array', 'ERR_SHAPE', 'an Int32Array', () => new Int32Array([1, 3, 2, 4])],
  ['a thousand dims', 'ERR_SHAPE', 'at most 8 dims', () => new Array(1000).fill(1)],
  ['2^31', 'ERR_BUFFER_SIZE', '6442450944 numbers', () => [2 ** 31, 3, 1, 1]],
  ['2^32', 'ERR_BUFFER_SIZE', '12884901888 numbers', () => [2 ** 32, 3, 1, 1]],
  ['2^32 + 1', 'ERR_BUFFER_SIZE', '12884901891 numbers', () => [2 ** 32 + 1, 3, 1, 1]],
  ['2^53 - 1', 'ERR_SIZE_OVERFLOW', '9007199254740991', () => [2 ** 53 - 1, 3, 1, 1]],
  ['2^53 + 2', 'ERR_SIZE_OVERFLOW', 'dims[0]', () => [2 ** 53 + 2, 3, 1, 1]],
  ['a product that wraps 64 bits to 32', 'ERR_SIZE_OVERFLOW', 'dims', () => [2 ** 4, 3, 2 ** 52 + 2, 2 ** 8]],
  ['bytes that wrap 64 bits to 8', 'ERR_SIZE_OVERFLOW', 'dims', () => [2 ** 2, 3, 2 ** 31 + 1, 2 ** 29]],
  ['a product of 2^64 + 24', 'ERR_SIZE_OVERFLOW', 'dims', () => [4194305, 3, 4194305, 211106198978564]],
  [
    'a getter that throws',
    'ERR_INVALID_ARG',
    'throws',
    () => Object.defineProperty([1, 3, 2, 4], 1, { get: throwing }),
  ],
  ['a Proxy that throws', 'ERR_INVALID_ARG', 'throws', () => new Proxy([1, 3, 2, 4], { get: throwing })],
  ['a revoked Proxy', 'ERR_INVALID_ARG', 'throws', revoked],
  ['a Proxy that lies about its length', 'ERR_SHAPE', 'at most 8 dims', liar],
];

/** Data that is no Float32Array of 24 numbers. */
export const hostileData: readonly Hostile[] = [
  ['one number short', 'ERR_BUFFER_SIZE', 'received 23', () => new Float32Array(23)],
  ['one number long', 'ERR_BUFFER_SIZE', 'received 25', () => new Float32Array(25)],
  ['empty', 'ERR_BUFFER_SIZE', 'received 0', () => new Float32Array(0)],
  ['bytes', 'ERR_DTYPE', 'a Uint8Array', () => new Uint8Array(96)],
  ['a Buffer at an odd offset', 'ERR_DTYPE', 'a Uint8Array', () => Buffer.from(new ArrayBuffer(100), 3, 96)],
  ['doubles', 'ERR_DTYPE', 'a Float64Array', () => new Float64Array(24)],
  ['clamped bytes', 'ERR_DTYPE', 'a Uint8ClampedArray', () => new Uint8ClampedArray(24)],
  ['64-bit integers', 'ERR_DTYPE', 'a BigInt64Array', () => new BigInt64Array(24)],
  ['a DataView', 'ERR_DTYPE', 'a DataView', () => new DataView(new ArrayBuffer(96))],
  ['an ArrayBuffer', 'ERR_DTYPE', 'an ArrayBuffer', () => new ArrayBuffer(96)],
  ['null', 'ERR_DTYPE', 'received null', () => null],
  ['nothing', 'ERR_DTYPE', 'received undefined', () => undefined],
  ["an object with a typed array's prototype", 'ERR_DTYPE', 'an object', () => Object.create(Float32Array.prototype)],
  ['doubles in the clothes of floats', 'ERR_DTYPE', 'a Float64Array', disguised],
  ['a Proxy of floats', 'ERR_DTYPE', 'a Proxy', () => new Proxy(new Float32Array(24), {})],
  ['a subclass that claims a length', 'ERR_BUFFER_SIZE', 'received 2', () => new Claims(2)],
  ['an own property that claims a length', 'ERR_BUFFER_SIZE', 'received 2', claims],
  ['detached', 'ERR_BUFFER_DETACHED', 'detached', () => detached(new Float32Array(24))],
  ['detached, of another realm', 'ERR_BUFFER_DETACHED', 'detached', () => detached(foreignFloats())],
  ['shared', 'ERR_BUFFER_SHARED', 'SharedArrayBuffer', () => new Float32Array(new SharedArrayBuffer(96))],
  ['shared and growable', 'ERR_BUFFER_SHARED', 'SharedArrayBuffer', growable],
  ['shared memory of WebAssembly', 'ERR_BUFFER_SHARED', 'SharedArrayBuffer', () => wasmFloats(true)],
  ['memory of WebAssembly that has grown', 'ERR_BUFFER_DETACHED', 'detached', () => wasmFloats(false)],
  ['resizable', 'ERR_BUFFER_RESIZED', 'resizable', () => new Float32Array(resizable(), 0, 24)],
  ['resizable, tracking its length', 'ERR_BUFFER_RESIZED', 'resizable', () => new Float32Array(resizable())],
  ['resizable, shrunk below the view', 'ERR_BUFFER_RESIZED', 'resizable', shrunk],
];

/** A Float32Array of 24 zeros that another realm made. */
export function foreignFloats(): Float32Array {
  return vm.runInNewContext('new Float32Array(24)') as Float32Array;
}

/** Takes the memory away, as `postMessage` with a transfer list does. */
export function detached(floats: Float32Array): Float32Array {
  structuredClone(floats, { transfer: [floats.buffer as ArrayBuffer] });
  return floats;
}

class Claims extends Float32Array {
  override get length(): number {
    return 24;
  }
  override get byteLength(): number {
    return 96;
  }
}

function claims(): Float32Array {
  return Object.defineProperty(new Float32Array(2), 'length', { value: 24 });
}

function disguised(): unknown {
  return Object.setPrototypeOf(new Float64Array(24), Float32Array.prototype);
}

function revoked(): unknown {
  const { proxy, revoke } = Proxy.revocable([1, 3, 2, 4], {});
  revoke();
  return proxy;
}

function liar(): unknown {
  const lie = (target: number[], name: string | symbol): unknown =>
    name === 'length' ? Number.MAX_SAFE_INTEGER : Reflect.get(target, name);
  return new Proxy([1, 3, 2, 4], { get: lie });
}

/** What the types that the compiler knows of lack. */
type Resizable = ArrayBuffer & { resize(bytes: number): void };
type WithMaximum<T> = new (bytes: number, options: { maxByteLength: number }) => T;
declare const WebAssembly: {
  Memory: new (limits: {
    initial: number;
    maximum: number;
    shared: boolean;
  }) => {
    buffer: ArrayBuffer;
    grow(pages: number): number;
  };
};

function resizable(): Resizable {
  return new (ArrayBuffer as unknown as WithMaximum<Resizable>)(96, { maxByteLength: 960 });
}

function shrunk(): Float32Array {
  const buffer = resizable();
  const floats = new Float32Array(buffer, 0, 24);
  buffer.resize(8);
  return floats;
}

function growable(): Float32Array {
  const Growable = SharedArrayBuffer as unknown as WithMaximum<SharedArrayBuffer>;
  return new Float32Array(new Growable(96, { maxByteLength: 960 }));
}

function wasmFloats(shared: boolean): Float32Array {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 2, shared });
  const floats = new Float32Array(memory.buffer, 0, 24);
  memory.grow(1);
  return floats;
}
