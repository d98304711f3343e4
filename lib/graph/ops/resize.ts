import { describeList } from '../../errors';
import {
  attribute,
  axisOf,
  constantList,
  defineOp,
  type OpNode,
  operand,
  optionalAttribute,
  unfit,
  unsupported,
} from './op';

const attributes = {
  antialias: attribute('int', 0),
  axes: optionalAttribute('ints'),
  coordinate_transformation_mode: attribute('text', 'half_pixel'),
  cubic_coeff_a: attribute('float', -0.75),
  exclude_outside: attribute('int', 0),
  extrapolation_value: attribute('float', 0),
  keep_aspect_ratio_policy: attribute('text', 'stretch'),
  mode: attribute('text', 'nearest'),
  nearest_mode: attribute('text', 'round_prefer_floor'),
};

/** What some attributes may be. */
const choices = {
  // biome-ignore format: many names a line
  coordinate_transformation_mode: [
    'half_pixel', 'half_pixel_symmetric', 'pytorch_half_pixel', 'align_corners', 'asymmetric', 'tf_half_pixel_for_nn',
    'tf_crop_and_resize',
  ],
  keep_aspect_ratio_policy: ['stretch', 'not_larger', 'not_smaller'],
  mode: ['nearest', 'linear', 'cubic'],
  nearest_mode: ['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'],
};

type ResizeNode = OpNode<typeof attributes>;

/** Inputs: x, region (for tf_crop_and_resize), and either scales or sizes. */
export const resize = defineOp({
  onnx: 'Resize',
  inputs: [1, 4],
  parameters: [1, 2, 3],
  attributes,
  upgrade(node, opset) {
    if (opset > 10) return [node];
    // Opset 10 has no region and only one way to compute coordinates. It does not say how to round them: PyTorch, which writes
    // such files, means floor. (onnxruntime takes the ceiling on axes that shrink.)
    const [x = '', scales = ''] = node.inputs;
    const given = new Map(node.attributes)
      .set('coordinate_transformation_mode', 'asymmetric')
      .set('nearest_mode', 'floor');
    return [{ ...node, inputs: [x, '', scales], attributes: given }];
  },
  check({ attributes: given, place }) {
    if (given.antialias !== 0 && given.coordinate_transformation_mode === 'tf_crop_and_resize')
      throw unsupported({ place }, 'antialias 0 for tf_crop_and_resize', '1');
    for (const [name, values] of Object.entries(choices)) {
      const value = given[name as keyof typeof choices];
      if (!values.includes(value)) throw unsupported({ place }, `${name} ${values.join(', ')}`, value);
    }
  },
  infer: (node) => [{ type: operand(node, 0).type, dims: read(node).dims }],
  isPerImage: (node) => read(node).scales[0] === 1,
  lower(node) {
    const { dims, scales, roi } = read(node);
    const { attributes: given } = node;
    return {
      op: 'resize',
      inputs: [0],
      attributes: {
        mode: given.mode,
        coordinateMode: given.coordinate_transformation_mode,
        nearestMode: given.nearest_mode,
        scales,
        dims,
        cubicCoeff: given.cubic_coeff_a,
        excludeOutside: given.exclude_outside !== 0,
        antialias: given.antialias !== 0,
        extrapolation: given.extrapolation_value,
        roi,
      },
    };
  },
});

/** Output dims, scales of all axes, and the region to resize: beginnings, then ends, as shares of the input's length. */
function read(node: ResizeNode): { dims: number[]; scales: number[]; roi: number[] } {
  const { dims } = operand(node, 0);
  const {
    axes: given,
    keep_aspect_ratio_policy: policy,
    coordinate_transformation_mode: coordinates,
  } = node.attributes;
  const axes = (given ?? dims.map((_, i) => i)).map((axis) => axisOf(node, axis, dims.length));
  const [regions, factors, lengths] = [1, 2, 3].map((i) => nonEmpty(constantList(node, i)));
  const crops = coordinates === 'tf_crop_and_resize';
  const roi = [...dims.map(() => 0), ...dims.map(() => 1)];
  const scales = dims.map(() => 1);
  const result = [...dims];
  const list = factors ?? lengths;
  if (
    list?.length !== axes.length ||
    list.some((entry) => !(entry > 0)) ||
    (crops && regions?.length !== 2 * axes.length)
  ) {
    throw unfit(node, `a scale or length above 0 for each of ${axes.length} axes`, describeList(list ?? []));
  }
  axes.forEach((axis, i) => {
    if (crops && regions) {
      roi[axis] = regions[i] as number;
      roi[axis + dims.length] = regions[i + axes.length] as number;
    }
    const length = (dims[axis] as number) * (crops ? (roi[axis + dims.length] as number) - (roi[axis] as number) : 1);
    // Scales are float32 in the file, and runtimes compute with them in float32.
    scales[axis] = Math.fround(factors ? (factors[i] as number) : (lengths?.[i] as number) / (dims[axis] as number));
    result[axis] = factors
      ? Math.floor(Math.fround(Math.fround(length) * (factors[i] as number)))
      : (lengths?.[i] as number);
  });
  if (result.some((dim, axis) => !(dim > 0) && dims[axis] !== 0))
    throw unfit(node, 'dims from 1', describeList(result));
  if (!factors && policy !== 'stretch') return keepAspect(node, dims, axes, scales, roi);
  return { dims: result, scales, roi };
}

/** One scale for all axes: the smallest ('not_larger') or the largest ('not_smaller'). */
function keepAspect(
  node: ResizeNode,
  dims: readonly number[],
  axes: readonly number[],
  scales: number[],
  roi: number[],
) {
  const { keep_aspect_ratio_policy: policy } = node.attributes;
  const own = axes.map((axis) => scales[axis] as number);
  const scale = policy === 'not_larger' ? Math.min(...own) : Math.max(...own);
  for (const axis of axes) scales[axis] = scale;
  return {
    dims: dims.map((dim, axis) => (axes.includes(axis) ? Math.round(Math.fround(dim * scale)) : dim)),
    scales,
    roi,
  };
}

function nonEmpty(list: number[] | undefined): number[] | undefined {
  return list && list.length > 0 ? list : undefined;
}

/** The predecessor of Resize; the reader turns it into Resize. */
export const upsample = defineOp({
  onnx: 'Upsample',
  inputs: [2, 2],
  attributes: { mode: attribute('text', 'nearest') },
  moved: [{ attribute: 'scales', input: 1, opset: 9 }],
  upgrade: (node) => [{ ...node, op: 'Resize' }],
  infer: (node) => [{ type: operand(node, 0).type, dims: operand(node, 0).dims }],
});
