import path from 'node:path';
import * as library from '../lib';
import { loadAddon } from '../lib/binding';
import { root, runNode, runScript } from './support/child';
import { expectRefusal } from './support/refusal';

test('the public surface', () => {
  expect(Object.keys(library).sort()).toEqual([
    'Conv2d',
    'Dataset',
    'InferenceSession',
    'QARepVGGBlock',
    'QARepVGGError',
    'QuantizedModel',
    'RepVGGBlock',
    'Trainer',
    'createModel',
    'evaluate',
    'exportOnnx',
    'fashionMnistClasses',
    'importOnnx',
    'info',
    'loadFashionMnist',
    'loadIdx',
    'loadImageFolder',
    'loadModel',
    'loadStateDict',
    'quantize',
    'randn',
    'renderReport',
    'saveModel',
    'saveStateDict',
    'sensitivity',
    'tensor',
    'verifyEquivalence',
  ]);
});

test('ES modules import the built package by name', () => {
  const script = `
    import { QARepVGGBlock, QARepVGGError, randn, verifyEquivalence } from 'qarepvgg';
    const block = new QARepVGGBlock({ inChannels: 3, outChannels: 8, stride: 2 }).eval();
    const { whole } = verifyEquivalence(block, block.reparameterize());
    try { block.forward(randn([3])); } catch (error) { console.log(error instanceof QARepVGGError, error.code); }
    console.log(whole.relativeL2 < 1e-5);
  `;
  const { stdout, stderr, status } = runNode(['--input-type=module', '-e', script]);
  expect({ stdout, stderr, status }).toEqual({ stdout: 'true ERR_SHAPE\ntrue\n', stderr: '', status: 0 });
});

test('what pages are made of has an entry of its own', () => {
  const { stdout } = runScript(`console.log(Object.keys(require('qarepvgg/html')).sort().join(' '))`);
  expect(stdout).toBe('dataTable escapeHtml format histogramPlot lineFigure linePlot page\n');
});

test('CommonJS requires the same thing, once', () => {
  const script = `
    import(require.resolve('qarepvgg')).then((esm) => console.log(esm.tensor === require('qarepvgg').tensor));
  `;
  expect(runScript(script).stdout).toBe('true\n');
});

test('importing does not change how this process rounds', () => {
  const script = `require('.').randn([1]); console.log(5e-324 !== 0, 5e-324 / 1 === 5e-324, 1 / 3)`;
  expect(runScript(script).stdout).toBe(`true true ${1 / 3}\n`);
});

test('where there is no addon, the error says what was tried and what to do', () => {
  const empty = path.join(root, 'docs');
  for (const part of [
    `${process.platform}-${process.arch}`,
    `Node ${process.version}`,
    `tried: build/Release/qarepvgg.node, prebuilds/${process.platform}-${process.arch}/qarepvgg.node`,
    'npm run build',
  ]) {
    expectRefusal(() => loadAddon(empty), 'ERR_ADDON_LOAD', part);
  }
});
