import type { Sides } from '../../index';

/** An output of a network, without its batch of 1. */
export interface Output {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

/** Boxes that are good enough, [x, y, width, height] in pixels of the network's input, with their best class. */
export class FoundBoxes {
  readonly boxes: number[] = [];
  readonly scores: number[] = [];
  readonly classes: number[] = [];

  add(x: number, y: number, width: number, height: number, score: number, label: number): void {
    this.boxes.push(x, y, width, height);
    this.scores.push(score);
    this.classes.push(label);
  }
}

/** From the outputs of a kind of network to boxes. */
export interface Decoder {
  /** What the outputs look like, for messages. */
  readonly outputs: string;
  /** A byte for the margins of images. */
  readonly fill: number;
  /** Mean and deviation that such networks are trained with, where the model names none. */
  readonly scaling: readonly [mean: number, std: number];
  /** The number of classes in outputs of these dims; undefined for another kind of network. */
  classesIn(shapes: readonly (readonly number[])[]): number | undefined;
  decode(outputs: readonly Output[], size: Sides, threshold: number): FoundBoxes;
}

/**
 * Whether one of the numbers from `start` to `end` is above the bound. Takes a third of the time of {@link bestOf}, and is all that
 * most anchors are asked.
 */
export function anyAbove(data: Float32Array, start: number, end: number, bound: number): boolean {
  for (let i = start; i < end; i++) if ((data[i] as number) > bound) return true;
  return false;
}

/** The place of the best of `count` numbers, from `start` on, `step` apart. */
export function bestOf(data: Float32Array, start: number, count: number, step = 1): number {
  let best = start;
  for (let i = start + step, end = start + count * step; i < end; i += step) {
    if ((data[i] as number) > (data[best] as number)) best = i;
  }
  return (best - start) / step;
}
