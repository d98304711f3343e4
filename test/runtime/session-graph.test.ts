import type { GraphArray } from '../../binding';
import { Conv2d, createModel, type Module, QARepVGGBlock } from '../../lib';
import { within } from '../../lib/errors';
import type { Graph } from '../../lib/graph/graph';
import { lowerGraph } from '../../lib/graph/lower';
import { optimize } from '../../lib/graph/passes';
import { specialize } from '../../lib/graph/specialize';
import { networkGraph } from '../../lib/model/quantized-graph';
import { sessionGraph } from '../../lib/model/session-graph';
import { atOnce } from '../../lib/slices';

const tiny = { channels: [8, 8, 16, 16, 24], blocks: [1, 2, 1, 1], numClasses: 7, seed: 3 } as const;

/** What the engine computes, whatever things are called: each node with what its inputs are made of. */
function meaningOf(graph: Graph): unknown {
  const { inputs, constants, nodes, outputs } = within('test', () => lowerGraph(graph));
  const makers: unknown[] = [...inputs, ...constants.map(({ data, dims }) => [dims, [...(data as GraphArray)]])];
  for (const { name: _, inputs, outputs, ...node } of nodes)
    makers.push({ ...node, outputs, inputs: inputs.map((i) => makers[i]) });
  return outputs.map((i) => makers[i]);
}

test.each<[string, Module, readonly number[]]>([
  ['network', createModel('qarepvgg_a0', tiny).eval().reparameterize(), [1, 3, 32, 32]],
  [
    'network with groups',
    createModel('repvgg_b1g2', { ...tiny, seed: 4 })
      .eval()
      .reparameterize(),
    [1, 3, 40, 24],
  ],
  ['network with gates', createModel('qarepvgg_d2se', tiny).eval().reparameterize(), [1, 3, 32, 32]],
  ['block', new QARepVGGBlock({ inChannels: 4, outChannels: 8, stride: 2 }).eval().reparameterize(), [1, 4, 9, 9]],
  ['convolution', new Conv2d({ inChannels: 4, outChannels: 6, kernelSize: 3, dilation: 2, bias: false }), [1, 4, 9, 9]],
])('%s: the graph of a session is what the passes make of the graph of files', (_, model, dims) => {
  const inputs = new Map([['input', dims]]);
  const optimized = atOnce(
    within('test', () =>
      optimize(
        within('test', () => networkGraph(model)),
        inputs,
      ),
    ),
  );
  expect(
    meaningOf(
      within('test', () =>
        specialize(
          within('test', () => sessionGraph(model)),
          inputs,
        ),
      ),
    ),
  ).toEqual(meaningOf(optimized));
});
