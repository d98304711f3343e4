// Exports networks, a block and a convolution, in float and quantised, and has the checker of the ONNX project look at the files,
// shapes included. Needs a python3 with the package onnx (on Debian: apt-get install python3-onnx) and the built package.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Conv2d, createModel, exportOnnx, QARepVGGBlock, quantize, randn } from 'qarepvgg';

const checker = `
import sys, onnx
print("onnx", onnx.__version__)
for path in sys.argv[1:]:
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path)
    print(f"ok: {path.split('/')[-1]}, {len(model.graph.node)} nodes, {len(model.graph.initializer)} tensors")
`;

/** A python3 that can import onnx. */
function findPython() {
  return ['python3', '/usr/bin/python3'].find((python) => spawnSync(python, ['-c', 'import onnx']).status === 0);
}

const options = { inputSize: 64, numClasses: 100 };
const models = {
  a0: createModel('qarepvgg_a0', options).reparameterize(),
  b1g4: createModel('qarepvgg_b1g4', { ...options, channels: [16, 32, 48, 64, 160] }).reparameterize(),
  d2se: createModel('qarepvgg_d2se', { ...options, channels: [16, 32, 48, 64, 160] }).reparameterize(),
  repvgg: createModel('repvgg_a0', { ...options, inChannels: 1 }).reparameterize(),
  block: new QARepVGGBlock({ inChannels: 3, outChannels: 16, stride: 2 }).eval().switchToDeploy(),
  convolution: new Conv2d({ inChannels: 4, outChannels: 8, groups: 2, dilation: 2, bias: false }),
};

/** @param {keyof typeof models} name @param {import('qarepvgg').QuantizeOptions} [recipe] */
const quantized = async (name, recipe) => {
  const channels = { repvgg: 1, convolution: 4 }[/** @type {string} */ (name)] ?? 3;
  return (await quantize(models[name], [randn([2, channels, 64, 64])], recipe)).model;
};
const integers = {
  'a0, int8': await quantized('a0'),
  'b1g4, int8': await quantized('b1g4', { quantizeLogits: true }),
  'd2se, int8': await quantized('d2se'),
  'repvgg, symmetric': await quantized('repvgg', { scheme: 'symmetric', perChannel: false, keepFloat: ['linear'] }),
  'block, 5 bits': await quantized('block', { bits: 5 }),
  'convolution, int8': await quantized('convolution'),
};

const python = findPython();
if (!python) {
  console.error(
    'no python3 with onnx found (tried python3, /usr/bin/python3); on Debian: apt-get install python3-onnx',
  );
  process.exit(1);
}
const folder = mkdtempSync(join(tmpdir(), 'qarepvgg-onnx-'));
try {
  const paths = [];
  for (const [name, model] of Object.entries({ ...models, ...integers })) {
    const path = join(folder, `${name}.onnx`);
    await exportOnnx(model, path);
    paths.push(path);
  }
  process.exitCode = spawnSync(python, ['-c', checker, ...paths], { stdio: 'inherit' }).status ?? 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
