import { describe, mismatch } from './errors';
import { type Field, readForeign } from './options';

/** Height and width in pixels. */
export type Size = readonly [height: number, width: number];

/** The side of square images, [height, width] of others. */
export type InputSize = number | Size;

/** A size of images whose sides have up to `maxSide` pixels. */
export function sizeField(maxSide: number): Field<Size> {
  return (value) => {
    const list = readForeign(() => (Array.isArray(value) ? value.slice(0, 3) : [value, value]));
    const [height, width] = list as [number, number];
    const isSide = (side: unknown): boolean =>
      Number.isSafeInteger(side) && (side as number) >= 1 && (side as number) <= maxSide;
    if (list.length === 2 && list.every(isSide)) return Object.freeze([height, width] as const);
    throw mismatch('ERR_INVALID_ARG', `a side from 1 to ${maxSide}, or [height, width]`, describe(value));
  };
}

export function sizeOf(inputSize: InputSize): Size {
  return typeof inputSize === 'number' ? [inputSize, inputSize] : inputSize;
}

/** The shortest form: older versions, which know only square networks, can read their files. */
export function inputSizeOf([height, width]: Size): InputSize {
  return height === width ? height : Object.freeze([height, width] as const);
}
