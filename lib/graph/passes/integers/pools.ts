import { reducedAxes } from '../../ops/reduce';
import type { Rounding } from './context';
import { named } from './parameters';

/** A sum of 32 bits can hold the bytes of at most this many pixels. */
const maxPixels = 2 ** 23;

/** Largest ratio of two scales, so that quotients in float32 are finite. */
const maxRatio = 2 ** 20;

/** The mean of all pixels, also if it is written as ReduceMean. */
export const globalAverage: Rounding = (node, to, at, integers) => {
  const { rewriter } = integers;
  const [value = ''] = node.inputs;
  const dims = rewriter.dims(value);
  const [, , height = 0, width = 0] = dims;
  const isAll = node.op !== 'reduceMean' || `${reducedAxes(rewriter.view(node) as never)}` === '2,3';
  const kept = node.op !== 'reduceMean' || node.attributes.keepdims === 1;
  if (!isAll || !kept || dims.length !== 4 || height * width > maxPixels) return undefined;
  const bytes = integers.read(value);
  if (!bytes || !(bytes.scale / to.scale < maxRatio)) return undefined;
  const attributes = { ...named('input', bytes), ...named('output', to) };
  const result = [...dims.slice(0, 2), 1, 1];
  return { ...to, name: integers.add(at, node.name, 'quantizedGlobalAverage', [bytes.name], attributes, result) };
};

export const average: Rounding = (node, to, at, integers) => {
  const dims = integers.rewriter.dims(node.outputs[0]);
  const bytes = dims.length === 4 ? integers.read(node.inputs[0] as string) : undefined;
  if (!bytes || !(bytes.scale / to.scale < maxRatio)) return undefined;
  const attributes = { ...node.attributes, ...named('input', bytes), ...named('output', to) };
  return { ...to, name: integers.add(at, node.name, 'quantizedAveragePool', [bytes.name], attributes, dims) };
};
