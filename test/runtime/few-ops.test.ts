import { type ErrorCode, InferenceSession } from '../../lib';
import { jsonOf } from '../support/child';
import { type NodeSketch, onnxFile } from '../support/onnx-files';
import { expectRejection } from '../support/refusal';

test('operators that few files have compute what they do in onnxruntime', () => {
  const differences = jsonOf<Record<string, number>>(['test/support/few-ops.mjs']);
  expect(Object.keys(differences).length).toBeGreaterThan(40);
  expect(Object.entries(differences).filter(([, difference]) => !(difference < 1e-6))).toEqual([]);
});

test.each<[NodeSketch, ErrorCode, string]>([
  [['LpPool', ['x'], ['y'], { p: 1 }], 'ERR_SHAPE', 'the attribute kernel_shape'],
  [['GlobalLpPool', ['x'], ['y'], { p: 0 }], 'ERR_MODEL_INCOMPATIBLE', 'expected p of at least 1, received 0'],
  [['BitShift', ['x', 'x'], ['y'], { direction: 'UP' }], 'ERR_MODEL_FORMAT', 'direction: expected LEFT or RIGHT'],
  [['Pad', ['x', 'pads'], ['y'], { mode: 'mirror' }], 'ERR_MODEL_INCOMPATIBLE', 'edge, wrap, received mirror'],
  [
    ['Resize', ['x', '', 'x'], ['y'], { antialias: 1, coordinate_transformation_mode: 'tf_crop_and_resize' }],
    'ERR_MODEL_INCOMPATIBLE',
    'antialias 0 for tf_crop_and_resize',
  ],
])('%j is refused', async (node, code, message) => {
  const inputs = { x: [1, 1, 2, 2] };
  const file = onnxFile({ inputs, outputs: ['y'], nodes: [node], integers: { pads: [0, 0, 0, 0, 0, 0, 1, 1] } });
  await expectRejection(InferenceSession.create(file), code, message);
});
