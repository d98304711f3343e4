import { tensor } from '../../lib';
import { foreignFloats, hostileData, hostileDims } from '../support/hostile';
import { expectRefusal } from '../support/refusal';

const dims = [1, 3, 2, 4];

describe('tensor', () => {
  test('keeps a Float32Array and copies the dims', () => {
    const data = new Float32Array(24);
    const made = tensor(data, dims);
    expect(made.data).toBe(data);
    expect(made.dims).toEqual(dims);
    expect(made.dims).not.toBe(dims);
  });

  test('makes a Float32Array of numbers, also of those that are not finite', () => {
    const { data } = tensor([1.5, Number.NaN, Number.NEGATIVE_INFINITY, -0], [2, 2]);
    expect(data).toEqual(new Float32Array([1.5, Number.NaN, Number.NEGATIVE_INFINITY, -0]));
  });

  test('takes a single number with no dims', () => {
    expect(tensor([7], [])).toEqual({ data: new Float32Array([7]), dims: [] });
  });

  test('takes an array of another realm, and a part of a larger one', () => {
    expect(tensor(foreignFloats(), dims).data.length).toBe(24);
    expect(tensor(new Float32Array(100).subarray(3, 27), dims).data.byteOffset).toBe(12);
  });

  test('reads dims once', () => {
    let reads = 0;
    const changing = Object.defineProperty([1, 3, 2, 4], 1, { get: () => (reads++ === 0 ? 3 : 1e9) });
    expect(tensor(new Float32Array(24), changing).dims).toEqual(dims);
    expect(reads).toBe(1);
  });

  test.each(hostileDims)('refuses dims: %s', (_, code, message, make) => {
    expectRefusal(() => tensor(new Float32Array(24), make() as number[]), code, message);
  });

  test.each(hostileData)('refuses data: %s', (_, code, message, make) => {
    expectRefusal(() => tensor(make() as Float32Array, dims), code, message);
  });

  test('refuses arrays of anything but numbers', () => {
    // biome-ignore lint/suspicious/noSparseArray: the hole is what is tested
    const holes = [1, , 3] as number[];
    expectRefusal(() => tensor(holes, [3]), 'ERR_DTYPE', 'data[1]');
    expectRefusal(() => tensor([1, '2' as unknown as number], [2]), 'ERR_DTYPE', 'received "2"');
    expectRefusal(() => tensor([1, 2], [3]), 'ERR_BUFFER_SIZE', 'received 2');
  });

  test('refuses an array that says it is huge, before it allocates', () => {
    const huge = new Proxy([1], { get: (target, name) => (name === 'length' ? 2 ** 40 : Reflect.get(target, name)) });
    expectRefusal(() => tensor(huge, [1]), 'ERR_BUFFER_SIZE', 'received 1099511627776');
  });
});
