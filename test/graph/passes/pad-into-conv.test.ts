import type { NodeSketch } from '../../support/onnx-files';
import { conv, passes, tensors } from '../../support/passes';

test('zeros around an image become padding of the convolution', async () => {
  const nodes = [['Pad', ['x', 'p'], ['a']], conv('a', 'w', 'y', { pads: [0, 1, 0, 0] })] as NodeSketch[];
  const sketch = { nodes, tensors: tensors({ w: [3, 4, 3, 3] }), integers: { p: [0, 0, 1, 0, 0, 0, 2, 1] } };
  expect(await passes(sketch)).toBe('conv');
});
