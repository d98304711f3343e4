import { runLimited } from '../support/child';

// Outputs of 64 MiB each: V8 itself, which cannot live with a failed allocation, still finds the little it needs.
const prelude = `
  const { Conv2d, QARepVGGError, randn } = require('.');
  const conv = new Conv2d({ inChannels: 1, outChannels: 4096, kernelSize: 1 }).eval();
  const large = randn([1, 1, 64, 64]);
  const small = randn([1, 1, 2, 2]);
  const before = conv.forward(small).data.join();
  const code = (error) => (error instanceof QARepVGGError ? error.code : String(error));
  const finish = (what) => console.log(what, conv.forward(small).data.join() === before);
`;

test.each([
  ['a result', 'for (let i = 0; i < 60; i++) held.push(conv.forward(large));'],
  ['a program', 'for (let side = 64; side < 640; side += 64) conv.forward(randn([1, 1, side, side]));'],
  [
    'a gradient',
    `const wide = new Conv2d({ inChannels: 4096, outChannels: 1, kernelSize: 1 });
    const images = { data: new Float32Array(2 ** 24), dims: [1, 4096, 64, 64] };
    for (let i = 0; i < 60; i++) {
      const { data, dims } = wide.forward(images);
      held.push(wide.backward({ data, dims }));
    }`,
  ],
  ['a tensor', 'randn([2 ** 14, 2 ** 15])'],
  ['weights', 'for (let i = 0; i < 60; i++) held.push(new Conv2d({ inChannels: 2048, outChannels: 2048 }));'],
])('no memory for %s: an error, and the next call is right', (_, fill) => {
  // In a function of its own, so that what it holds can be collected once it is left.
  const script = `
    const fill = (held) => { try { ${fill} } catch (error) { return code(error); } };
    finish(fill([]));
  `;
  const { stdout, stderr, status } = runLimited(prelude + script, 2_500_000);
  expect({ stdout, stderr, status }).toEqual({ stdout: 'ERR_OUT_OF_MEMORY true\n', stderr: '', status: 0 });
});

test('no memory for asynchronous results', () => {
  const fill = `
    const pending = Array.from({ length: 60 }, () => conv.forwardAsync(large));
    Promise.allSettled(pending).then((results) => {
      const codes = new Set(results.filter(({ status }) => status === 'rejected').map(({ reason }) => code(reason)));
      finish([...codes].join());
    });
  `;
  const { stdout, stderr, status } = runLimited(prelude + fill, 2_500_000);
  expect({ stdout, stderr, status }).toEqual({ stdout: 'ERR_OUT_OF_MEMORY true\n', stderr: '', status: 0 });
});
