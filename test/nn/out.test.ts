import { QARepVGGBlock, randn } from '../../lib';
import { expectRefusal } from '../support/refusal';

const x = randn([2, 16, 9, 7], { seed: 1 });
const gradOutput = randn([2, 16, 9, 7], { seed: 2 });
const block = (): QARepVGGBlock => new QARepVGGBlock({ inChannels: 16, outChannels: 16, seed: 3 });

test('results go to the given tensors, with the same bits', () => {
  const fresh = block();
  const y = fresh.forward(x);
  const gradInput = fresh.backward(gradOutput);

  const reusing = block();
  const out = randn([2, 16, 9, 7], { seed: 4 });
  const gradOut = randn([2, 16, 9, 7], { seed: 5 });
  expect(reusing.forward(x, { out }).data).toBe(out.data);
  expect(reusing.backward(gradOutput, { out: gradOut }).data).toBe(gradOut.data);
  expect(out.data).toEqual(y.data);
  expect(gradOut.data).toEqual(gradInput.data);
});

test('the output may overwrite the input', () => {
  const expected = block().eval().forward(x);
  const both = { data: x.data.slice(), dims: x.dims };
  block().eval().forward(both, { out: both });
  expect(both.data).toEqual(expected.data);
});

test('an output of other dims is refused, and the next call is right', () => {
  const one = block();
  const wrong = { data: new Float32Array(2 * 16 * 63), dims: [2, 16, 7, 9] };
  expectRefusal(() => one.forward(x, { out: wrong }), 'ERR_SHAPE', 'forward, out');
  const y = one.forward(x);
  expect(y.data).toEqual(block().forward(x).data);
  expectRefusal(() => one.backward(gradOutput, { out: wrong }), 'ERR_SHAPE', 'backward, out');
  one.backward(gradOutput);
});
