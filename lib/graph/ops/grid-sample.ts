import { describeList } from '../../errors';
import { attribute, defineOp, type OpNode, operand, unfit, unsupported } from './op';

const attributes = {
  align_corners: attribute('int', 0),
  mode: attribute('text', 'linear'),
  padding_mode: attribute('text', 'zeros'),
};

/** What some attributes may be. */
const choices = { mode: ['linear', 'nearest', 'cubic'], padding_mode: ['zeros', 'border', 'reflection'] };

/** Opset 16 has other names. */
const renamed: Readonly<Record<string, string>> = { bilinear: 'linear', bicubic: 'cubic' };

/** Pixels at the places that a grid names. Inputs: images [n, c, h, w], grid [n, h', w', 2] of (x, y) from -1 to 1. */
export const gridSample = defineOp({
  onnx: 'GridSample',
  inputs: [2, 2],
  attributes,
  upgrade(node, opset) {
    const mode = node.attributes.get('mode') as string | undefined;
    const now = opset < 20 ? renamed[mode ?? 'bilinear'] : undefined;
    return [now === undefined ? node : { ...node, attributes: new Map(node.attributes).set('mode', now) }];
  },
  check({ attributes: given, inputs, place }) {
    for (const [name, values] of Object.entries(choices)) {
      const value = given[name as keyof typeof choices];
      if (!values.includes(value)) throw unsupported({ place }, `${name} ${values.join(', ')}`, value);
    }
    const rank = inputs[0]?.dims.length ?? 4;
    if (rank !== 4) throw unsupported({ place }, 'two spatial axes', String(rank - 2));
  },
  infer: (node) => [{ type: operand(node, 0).type, dims: sampledDims(node) }],
  // A constant grid may have other places for each image.
  isPerImage: (node) => node.inputs.every((input) => !input?.tensor),
  lower: ({ attributes: { mode, padding_mode: padding, align_corners: align } }) => ({
    op: 'gridSample',
    attributes: { mode, padding, alignCorners: align !== 0 },
  }),
});

function sampledDims(node: OpNode<typeof attributes>): number[] {
  const [{ dims }, grid] = [operand(node, 0), operand(node, 1).dims];
  const fits = dims.length === 4 && grid.length === 4 && grid[3] === 2 && grid[0] === dims[0];
  if (!fits) {
    const received = `${describeList(dims)} and ${describeList(grid)}`;
    throw unfit(node, 'images [n, c, h, w] and a grid [n, h, w, 2]', received);
  }
  return [...dims.slice(0, 2), ...grid.slice(1, 3)];
}
