import { within } from '../../../lib/errors';
import { optimize } from '../../../lib/graph/passes';
import { atOnce } from '../../../lib/slices';
import { graphOf, type NodeSketch } from '../../support/onnx-files';
import { batchNorm, conv, normTensors, opsOf, passes, tensors } from '../../support/passes';

describe('batch norms and constants for each channel', () => {
  test('behind a convolution', async () => {
    const nodes = [
      conv('x', 'w', 'a', { group: 2 }),
      batchNorm('a', 'b'),
      ['Mul', ['b', 'k'], ['c']],
      ['Add', ['s', 'c'], ['y']],
    ] as NodeSketch[];
    expect(
      await passes({ nodes, tensors: tensors({ w: [6, 2, 3, 3], k: [6, 1, 1], s: [1], ...normTensors(6) }) }),
    ).toBe('conv');
  });

  test('behind a transposed convolution', async () => {
    const given = { group: 2, strides: [2, 2] };
    const nodes = [['ConvTranspose', ['x', 'w'], ['a'], given], batchNorm('a', 'y')] as NodeSketch[];
    const graph = await graphOf({
      inputs: { x: [2, 4, 5, 6] },
      outputs: ['y'],
      nodes,
      tensors: tensors({ w: [4, 3, 2, 2], ...normTensors(6) }),
    });
    const optimized = within('test', () => atOnce(optimize(graph, new Map([['x', [2, 4, 5, 6]]]))));
    expect(opsOf(optimized)).toBe('convTranspose');
    const [before, after] = [graph.tensors.get('w'), optimized.tensors.get(optimized.nodes[0]?.inputs[1] as string)];
    const [g, v] = [graph.tensors.get('gn'), graph.tensors.get('vn')];
    // [4, 3, 2, 2]: rows 0 and 1 are of group 0, whose outputs are 0 to 2.
    const channel = 3 + 1;
    const at = (2 * 3 + 1) * 4;
    const scale = Number(g?.data[channel]) / Math.sqrt(Number(v?.data[channel]) + 1e-5);
    expect(after?.data[at]).toBeCloseTo(Number(before?.data[at]) * scale, 5);
  });

  test('alone they become a product and a sum', async () => {
    const nodes = [batchNorm('x', 'a'), ['Relu', ['a'], ['y']]] as NodeSketch[];
    expect(await passes({ nodes, tensors: tensors(normTensors(4)) })).toBe('mul, add relu');
  });

  test('a value that is read twice stays', async () => {
    const nodes = [conv('x', 'w', 'a'), batchNorm('a', 'y'), ['Neg', ['a'], ['z']]] as NodeSketch[];
    const sketch = { nodes, outputs: ['y', 'z'], tensors: tensors({ w: [4, 4, 1, 1], ...normTensors(4) }) };
    expect(await passes(sketch)).toBe('conv, mul, add, neg');
  });
});
