import { blockUnit, RequestMemory } from '../../lib/serve/memory';

test('bytes of requests are counted, refused beyond the limit, and returned together, once', () => {
  const memory = new RequestMemory(100);
  const [first, second] = [memory.open(), memory.open()];
  first.take(60);
  first.take(10);
  second.take(30);
  expect(() => second.take(1)).toThrow(expect.objectContaining({ code: 'ERR_BUSY' }));
  first.release();
  first.release();
  expect(memory.used).toBe(30);
  expect([first.isReleased, second.isReleased]).toEqual([true, false]);
});

test('a block is used again by the next request of its size, and by no two at a time', () => {
  const memory = new RequestMemory(4 * blockUnit);
  const take = (bytes: number) => {
    const hold = memory.open();
    hold.take(bytes);
    return { hold, block: hold.block(bytes) };
  };
  const [a, b] = [take(blockUnit), take(blockUnit - 8)];
  expect(a.block).not.toBe(b.block);
  expect([a.block.byteLength, b.block.byteLength]).toEqual([blockUnit, blockUnit]);
  a.hold.release();
  expect(take(blockUnit - 100).block).toBe(a.block);
});

test('blocks that wait for another request do not add to the limit', () => {
  const memory = new RequestMemory(4 * blockUnit);
  const use = (size: number) => {
    const hold = memory.open();
    hold.take(size);
    const block = hold.block(size);
    hold.release();
    return block;
  };
  const kept = use(3 * blockUnit);
  expect(use(3 * blockUnit)).toBe(kept);
  // There is no room for both sizes.
  use(2 * blockUnit);
  expect(use(3 * blockUnit)).not.toBe(kept);
});
