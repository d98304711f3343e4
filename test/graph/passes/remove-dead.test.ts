import type { NodeSketch } from '../../support/onnx-files';
import { passes } from '../../support/passes';

test('nodes that no output depends on are gone', async () => {
  const nodes: NodeSketch[] = [
    ['Relu', ['x'], ['y']],
    ['Neg', ['x'], ['z']],
  ];
  expect(await passes({ nodes })).toBe('relu');
});
