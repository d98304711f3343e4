import { within } from '../../../lib/errors';
import { optimize } from '../../../lib/graph/passes';
import { atOnce } from '../../../lib/slices';
import { graphOf, type NodeSketch } from '../../support/onnx-files';
import { opsOf, tensors } from '../../support/passes';

test('what slides along one axis gets a second one', async () => {
  const nodes = [
    ['Conv', ['x', 'w'], ['a'], { pads: [1, 0], strides: [2] }],
    ['AveragePool', ['a'], ['y'], { kernel_shape: [2] }],
  ] as NodeSketch[];
  const graph = await graphOf({ inputs: { x: [1, 4, 9] }, outputs: ['y'], nodes, tensors: tensors({ w: [3, 4, 3] }) });
  const optimized = within('test', () => atOnce(optimize(graph, new Map([['x', [1, 4, 9]]]))));
  expect(opsOf(optimized)).toBe('reshape, conv, averagePool, reshape');
  expect(optimized.values.get('y')?.dims).toEqual([1, 3, 3]);
  expect(optimized.nodes[1]?.attributes).toMatchObject({ pads: [0, 1, 0, 0], strides: [1, 2] });
});
