import type { NodeSketch } from '../../support/onnx-files';
import { passes, tensors } from '../../support/passes';

test('a product with a large constant is a convolution of rows', async () => {
  const nodes: NodeSketch[] = [
    ['MatMul', ['x', 'w'], ['a']],
    ['Add', ['b', 'a'], ['c']],
    ['Relu', ['c'], ['y']],
  ];
  expect(await passes({ nodes, tensors: tensors({ w: [40, 50], b: [50] }) }, [6, 40])).toBe(
    'reshape, transpose, conv relu, transpose, reshape',
  );
});
