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
    hold.takeBlock(bytes);
    return { hold, block: hold.block };
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
    hold.takeBlock(size);
    const { block } = hold;
    hold.release();
    return block;
  };
  const kept = use(3 * blockUnit);
  expect(use(3 * blockUnit)).toBe(kept);
  // There is no room for both sizes, and garbage collection would take its time.
  use(2 * blockUnit);
  expect(kept.byteLength).toBe(0);
  expect(use(3 * blockUnit)).not.toBe(kept);
});

test('a request counts with its whole block, so that a full memory has one for each', () => {
  const memory = new RequestMemory(4 * blockUnit);
  const [first, second, third] = [memory.open(), memory.open(), memory.open()];
  first.takeBlock(blockUnit + 8);
  second.takeBlock(blockUnit + 8);
  const blocks = [first.block, second.block];
  expect(memory.used).toBe(4 * blockUnit);
  expect(() => third.takeBlock(blockUnit + 8)).toThrow(expect.objectContaining({ code: 'ERR_BUSY' }));
  first.release();
  third.takeBlock(blockUnit + 8);
  expect(third.block).toBe(blocks[0]);
  second.release();
  third.release();
  expect(memory.used).toBe(0);
});

test('a body as large as the limit fits, although its block is larger', () => {
  const memory = new RequestMemory(blockUnit + 8);
  const hold = memory.open();
  hold.takeBlock(blockUnit + 8);
  expect(hold.block.byteLength).toBe(2 * blockUnit);
  hold.release();
  expect(memory.used).toBe(0);
});
