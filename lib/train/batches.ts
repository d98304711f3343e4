import type { Dataset } from '../formats/dataset';
import { Random } from '../random';

/** Changes to training images that keep their classes. */
export interface Augmentation {
  /** Mirror about half of the images, left to right. */
  readonly flip: boolean;
  /** Shift images by up to this many pixels in each direction; the uncovered pixels are black. */
  readonly shift: number;
}

/** The images of one training step. */
export interface Batch {
  /** Bytes [n, h, w, c] */
  readonly images: Uint8Array;
  readonly labels: Int32Array;
  /** [n, 3]: shift down, shift right, mirror. */
  readonly augment: Int16Array | undefined;
}

/** How many batches an epoch has. Images that do not fill a batch are skipped; each epoch skips others. */
export function batchesIn(dataset: Dataset, batchSize: number): number {
  return Math.floor(dataset.length / batchSize);
}

/**
 * Iterates the batches of an epoch, from batch `first` on. Order, flips and shifts depend on the seed and the epoch alone, so
 * that a training can resume within an epoch as if it had never stopped.
 */
export function* batchesOf(
  dataset: Dataset,
  {
    batchSize,
    seed,
    epoch,
    first,
    flip,
    shift,
  }: Augmentation & {
    readonly batchSize: number;
    readonly seed: number;
    readonly epoch: number;
    readonly first: number;
  },
): Generator<Batch> {
  const random = new Random(seedOf(seed, epoch));
  const order = shuffled(dataset.length, random);
  for (let batch = 0; batch < batchesIn(dataset, batchSize); batch++) {
    // Also drawn for skipped batches, so that the generator is in the same state afterwards.
    const augment = flip || shift > 0 ? drawAugment(batchSize, { flip, shift }, random) : undefined;
    if (batch < first) continue;
    const { images, labels } = dataset.subset(order.slice(batch * batchSize, (batch + 1) * batchSize));
    yield { images, labels, augment };
  }
}

/** Every epoch has a generator of its own. */
function seedOf(seed: number, epoch: number): number {
  const random = new Random(seed);
  let bits = 0;
  for (let i = 0; i <= epoch; i++) bits = random.bits() * 2 ** 20 + (random.bits() >>> 12);
  return bits;
}

/** The numbers from 0 to count - 1 in random order (Fisher and Yates). */
function shuffled(count: number, random: Random): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const swapped = order[i] as number;
    order[i] = order[j] as number;
    order[j] = swapped;
  }
  return order;
}

function drawAugment(count: number, { flip, shift }: Augmentation, random: Random): Int16Array {
  const drawn = new Int16Array(3 * count);
  for (let i = 0; i < count; i++) {
    drawn[3 * i] = random.below(2 * shift + 1) - shift;
    drawn[3 * i + 1] = random.below(2 * shift + 1) - shift;
    drawn[3 * i + 2] = flip ? random.below(2) : 0;
  }
  return drawn;
}
