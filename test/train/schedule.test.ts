import { Dataset } from '../../lib';
import { batchesIn, batchesOf } from '../../lib/train/batches';
import { learningRateAt } from '../../lib/train/schedule';

const plain = { lr: 1, schedule: 'constant', warmup: 0, milestones: [0.3, 0.6, 0.9], gamma: 0.1 } as const;
const rates = (schedule: Parameters<typeof learningRateAt>[0], steps: number): number[] =>
  Array.from({ length: steps }, (_, step) => learningRateAt(schedule, step, steps));

const rounded = (values: readonly number[]): number[] => values.map((value) => Math.round(value * 1e12) / 1e12);

describe('learning rate', () => {
  test('constant, and after a warm-up', () => {
    expect(rates(plain, 3)).toEqual([1, 1, 1]);
    expect(rates({ ...plain, lr: 2, warmup: 0.5 }, 8)).toEqual([0.5, 1, 1.5, 2, 2, 2, 2, 2]);
    expect(rates({ ...plain, warmup: 0.01 }, 8)).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
  });

  test('half a cosine: from all over half to almost nothing', () => {
    const cosine = rates({ ...plain, schedule: 'cosine' }, 4);
    const expected = [1, (1 + Math.SQRT1_2) / 2, 0.5, (1 - Math.SQRT1_2) / 2];
    expect(rounded(cosine)).toEqual(rounded(expected));
    const warmed = rates({ ...plain, schedule: 'cosine', warmup: 0.2 }, 5);
    expect(rounded(warmed)).toEqual(rounded([1, ...expected]));
  });

  test('steps at the milestones', () => {
    const steps = rates({ ...plain, schedule: 'step', milestones: [0.5, 0.75], gamma: 0.5, warmup: 0.25 }, 8);
    expect(steps).toEqual([0.5, 1, 1, 1, 0.5, 0.5, 0.25, 0.25]);
  });
});

describe('batches', () => {
  const count = 23;
  const dataset = new Dataset({
    images: Uint8Array.from({ length: count }, (_, i) => i),
    dims: [1, 1, 1],
    labels: Int32Array.from({ length: count }, (_, i) => i),
    classes: Array.from({ length: count }, (_, i) => `${i}`),
  });
  const course = { batchSize: 5, seed: 1, epoch: 0, first: 0, flip: true, shift: 2 };
  const batches = (more: Partial<typeof course> = {}) => [...batchesOf(dataset, { ...course, ...more })];
  const order = (more: Partial<typeof course> = {}) => batches(more).flatMap(({ labels }) => [...labels]);

  test('every image at most once, with its label, and others left out in another epoch', () => {
    expect(batchesIn(dataset, 5)).toBe(4);
    expect(batches().map(({ labels }) => labels.length)).toEqual([5, 5, 5, 5]);
    for (const { images, labels } of batches()) expect([...images]).toEqual([...labels]);
    expect(new Set(order()).size).toBe(20);
    const left = (epoch: number) =>
      Array.from({ length: count }, (_, i) => i).filter((i) => !order({ epoch }).includes(i));
    expect(left(0)).toHaveLength(3);
    expect(left(1)).not.toEqual(left(0));
  });

  test('order and changes depend on seed and epoch alone', () => {
    expect(batches()).toEqual(batches());
    expect(order({ seed: 2 })).not.toEqual(order());
    expect(order({ epoch: 1 })).not.toEqual(order());
    expect(order({ seed: 2, epoch: 1 })).not.toEqual(order({ seed: 1, epoch: 2 }));
  });

  test('the rest of an epoch is the rest', () => {
    for (const first of [1, 3, 4]) expect(batches({ first })).toEqual(batches().slice(first));
  });

  test('shifts in both directions, mirrored about half of the time, or nothing at all', () => {
    const augment = Array.from({ length: 50 }, (_, epoch) => batches({ epoch }))
      .flat()
      .flatMap((batch) => [...(batch.augment ?? [])]);
    const column = (which: number) => augment.filter((_, i) => i % 3 === which);
    for (const which of [0, 1]) expect([...new Set(column(which))].sort((a, b) => a - b)).toEqual([-2, -1, 0, 1, 2]);
    const mirrored = column(2).filter((value) => value === 1).length / column(2).length;
    expect(Math.abs(mirrored - 0.5)).toBeLessThan(0.08);
    expect(
      batches({ flip: false }).every(({ augment }) => augment?.every((value, i) => i % 3 < 2 || value === 0)),
    ).toBe(true);
    expect(batches({ flip: false, shift: 0 }).every(({ augment }) => augment === undefined)).toBe(true);
  });
});
