import type { NodeSketch } from '../../support/onnx-files';
import { passes, tensors } from '../../support/passes';

describe('Gemm', () => {
  const head = (attributes: Record<string, number>): NodeSketch[] => [
    ['GlobalAveragePool', ['x'], ['a']],
    ['Flatten', ['a'], ['b']],
    ['Gemm', ['b', 'w', 'c'], ['y'], attributes],
  ];

  test('of a map of one pixel is a convolution', async () => {
    const expected = 'globalAveragePool, conv, reshape';
    expect(
      await passes({ nodes: head({ transB: 1, alpha: 0.5, beta: 2 }), tensors: tensors({ w: [3, 4], c: [3] }) }),
    ).toBe(expected);
    expect(await passes({ nodes: head({}), tensors: tensors({ w: [4, 3], c: [3] }) })).toBe(expected);
  });

  test('of anything else a product and a sum', async () => {
    const gemm = (attributes: Record<string, number>): NodeSketch[] => [['Gemm', ['x', 'w', 'c'], ['y'], attributes]];
    expect(
      await passes(
        { nodes: gemm({ transB: 1, alpha: 0.5, beta: 2 }), tensors: tensors({ w: [3, 4], c: [3] }) },
        [5, 4],
      ),
    ).toBe('matMul, add');
    expect(await passes({ nodes: gemm({ transA: 1 }), tensors: tensors({ w: [5, 3], c: [5 - 1, 3] }) }, [5, 4])).toBe(
      'transpose, matMul, add',
    );
  });
});
