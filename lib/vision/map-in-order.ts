/** Images that are prepared at the same time: enough to keep decoders and the network busy. */
const atOnce = 4;

/** Calls `work` for each item, a few at once; the results keep the order. After a failure no other item begins. */
export async function mapInOrder<T, R>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  let isFailed = false;
  const worker = async (): Promise<void> => {
    while (next < items.length && !isFailed) {
      const index = next++;
      try {
        results[index] = await work(items[index] as T, index);
      } catch (error) {
        isFailed = true;
        throw error;
      }
    }
  };
  const workers = await Promise.allSettled(Array.from({ length: Math.min(atOnce, items.length) }, worker));
  for (const worker of workers) if (worker.status === 'rejected') throw worker.reason;
  return results;
}
