import { mismatch, quote } from '../errors';
import type { Sides } from '../index';
import { blazeFace } from './decoders/blazeface';
import type { Decoder, FoundBoxes } from './decoders/decoder';
import { yoloNas } from './decoders/yolo-nas';
import { yolov6 } from './decoders/yolov6';
import { yolov6Levels } from './decoders/yolov6-levels';
import { yolov8 } from './decoders/yolov8';
import type { Outputs } from './recognizer';

/** Names of the decoders of {@link Detector}. */
export type DecoderName = 'yolov6' | 'yolov6-levels' | 'yolov8' | 'yolo-nas' | 'blazeface';

/** Each recognises the outputs of its kind of network; no two recognise the same. */
export const decoders: Readonly<Record<DecoderName, Decoder>> = {
  yolov6,
  'yolov6-levels': yolov6Levels,
  yolov8,
  'yolo-nas': yoloNas,
  blazeface: blazeFace,
};

/** The decoder for outputs of these dims, which must not be open. */
export function recognizeDecoder(shapes: readonly (readonly number[])[]): Decoder | undefined {
  return Object.values(decoders).find(({ classesIn }) => classesIn(shapes) !== undefined);
}

/**
 * How many classes there are. @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for outputs that do not fit the decoder, or
 * that fit none.
 */
export function classesOf(decoder: Decoder | undefined, outputs: Outputs): number {
  const shapes = outputs.map(({ dims }) => dims);
  const classes = decoder?.classesIn(shapes);
  if (classes !== undefined) return classes;
  const known = Object.entries(decoders).filter(([, one]) => decoder === undefined || one === decoder);
  const expected = `outputs of ${known.map(([name, { outputs: text }]) => `${name} (${text})`).join(', ')}`;
  const received = outputs.slice(0, 8).map(({ name, dims }) => `${quote(name)} [${dims.join(', ')}]`);
  throw mismatch('ERR_MODEL_INCOMPATIBLE', expected, received.join(', '));
}

export type { Decoder, FoundBoxes, Sides };
