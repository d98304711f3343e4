import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as library from '../../lib';
import { loadAddon } from '../../lib/binding';
import { root, runNode, runScript } from '../support/child';
import { expectRefusal } from '../support/refusal';

test('the public surface', () => {
  expect(Object.keys(library).sort()).toEqual([
    'Conv2d',
    'Dataset',
    'InferenceSession',
    'Model',
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
    'readImage',
    'releaseMemory', // internal: for the server, which takes the library from this entry
    'renderReport',
    'saveModel',
    'saveStateDict',
    'sensitivity',
    'tensor',
    'transformImage',
    'verify',
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

test('photographs have an entry of their own, which shares the library', () => {
  const script = `
    const vision = require('qarepvgg/vision');
    console.log(Object.keys(vision).sort().join(' '), vision.readImage === require('qarepvgg').readImage)`;
  expect(runScript(script).stdout).toBe(
    'Classifier Detector centerCrop cocoLabels evaluateDetections imageNetLabels letterbox nonMaxSuppression ' +
      'readCoco readCocoDetections readImage readLabels resize transformImage true\n',
  );
});

test('CommonJS requires the same thing, once', () => {
  const script = `
    import(require.resolve('qarepvgg')).then((esm) => console.log(esm.tensor === require('qarepvgg').tensor));
  `;
  expect(runScript(script).stdout).toBe('true\n');
});

test.each(['', 'serve', 'vision'])('an entry lists the names of its bundle, and is short: %p', async (folder) => {
  const at = (file: string) => path.join(root, 'dist', folder, file);
  const entry = at(folder === '' ? 'qarepvgg.js' : 'index.js');
  const [listed, bundled] = await Promise.all([entry, at('bundle.js')].map((file) => import(file)));
  const { files: _, ...names } = bundled; // what other bundles take from this one
  expect(Object.keys(listed).sort()).toEqual(Object.keys(names).sort());
  // Node reads all of it for the names, character by character.
  expect(statSync(entry).size).toBeLessThan(statSync(at('bundle.js')).size / 20);
});

describe('bundles', () => {
  /** The bundles of this package that a script of its own process has loaded at its end. */
  function loadedBy(script: string): string {
    const show = `Object.keys(require.cache).filter((file) => /\\bbundle.js$/.test(file))
      .map((file) => require('node:path').relative('dist', file)).sort().join(' ')`;
    return runScript(`const q = require('qarepvgg'); (async () => { ${script} })().then(() => console.log(${show}))`)
      .stdout;
  }

  test('a program that runs a network of this package loads one', () => {
    const script = `
      const session = await q.InferenceSession.create('models/fashion-mnist.safetensors');
      await session.run({ input: { data: new Uint8Array(784), dims: [1, 28, 28, 1] } })`;
    expect(loadedBy(script)).toBe('bundle.js\n');
  });

  test('all are strict code, as ES modules are', () => {
    const files = readdirSync(path.join(root, 'dist'), { recursive: true, encoding: 'utf8' });
    const bundles = files.filter((file) => path.basename(file) === 'bundle.js');
    expect(bundles.length).toBeGreaterThan(5);
    for (const file of bundles)
      expect([file, readFileSync(path.join(root, 'dist', file), 'utf8').slice(0, 13)]).toEqual([file, '"use strict";']);
  });

  const tiny = `q.createModel('qarepvgg_a0', { channels: [4, 4, 4, 4, 4], blocks: [1, 1, 1, 1], inputSize: 8, numClasses: 3 })`;

  test.each([
    [
      'quantize',
      `await q.quantize(${tiny}.reparameterize(), [q.randn([2, 3, 8, 8])])`,
      'graph/passes/bundle.js graph/passes/integers/bundle.js quant/bundle.js',
    ],
    ['new Trainer', `await new q.Trainer(${tiny}).step(q.randn([2, 3, 8, 8]), [0, 1])`, 'train/bundle.js'],
    [
      'importOnnx',
      `await q.importOnnx(new Uint8Array(20)).catch(() => undefined)`,
      'formats/onnx/bundle.js graph/passes/bundle.js',
    ],
    [
      'loadStateDict',
      `await q.loadStateDict(Buffer.from('PK\\x03\\x04'.padEnd(30))).catch(() => undefined)`,
      'formats/torch/bundle.js',
    ],
  ])('%s loads its own', (_, script, own) => {
    expect(loadedBy(script)).toBe(`bundle.js ${own}\n`);
  });

  test('all have the same classes', () => {
    const script = `
      const onnx = await q.importOnnx(new Uint8Array(20)).catch((error) => error);
      const quantized = await q.quantize(${tiny}.reparameterize(), [q.randn([2, 3, 8, 8])]);
      console.log(onnx instanceof q.QARepVGGError, quantized.model instanceof q.QuantizedModel);`;
    expect(loadedBy(script)).toMatch(/^true true\n/);
  });
});

describe('importing does not change how this process rounds', () => {
  // 5e-324 is the smallest denormal: a CPU told to flush those to zero makes it 0.
  const script = `
    const smallest = Number('5e-324'), x = new Float64Array([smallest, 2 * smallest]);
    require(process.cwd()).randn([1]);
    console.log(x[0] !== 0, x[1] / 2 === x[0], x[0] / 1 === smallest, 1 / 3)`;
  const expected = `true true true ${1 / 3}\n`;

  test('in the main thread', () => {
    expect(runScript(script).stdout).toBe(expected);
  });

  test('in a worker, and in the main thread that never loads it', () => {
    const worker = `new (require('node:worker_threads').Worker)(${JSON.stringify(script)}, { eval: true })`;
    const main = script.replace('require(process.cwd()).randn([1]);', '');
    expect(runScript(`${worker}.once('exit', () => { ${main} })`).stdout).toBe(expected + expected);
  });
});

describe('loading the addon', () => {
  const target = `${process.platform}-${process.arch}`;
  const build = 'build/Release/qarepvgg.node';
  const prebuild = `prebuilds/${target}/qarepvgg.node`;

  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'qarepvgg-package-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** Puts a file into the folder: this package's addon, or something that is none. */
  function put(place: string, content?: string): void {
    const file = path.join(folder, place);
    mkdirSync(path.dirname(file), { recursive: true });
    if (content === undefined) copyFileSync(path.join(root, build), file);
    else writeFileSync(file, content);
  }

  /** What a process of its own loads from the folder. */
  function loaded(): string {
    const script = `console.log(require('./dist/binding').loadAddon(${JSON.stringify(folder)}).path)`;
    return path.relative(folder, runScript(script).stdout.trim());
  }

  test('the one that was shipped, unless there is one that was built here', () => {
    put(prebuild);
    expect(loaded()).toBe(prebuild);
    put(build);
    expect(loaded()).toBe(build);
  });

  test('where there is none, the error says what was tried and what to do', () => {
    const { glibcVersionRuntime } = (process.report.getReport() as { header: Record<string, string> }).header;
    for (const part of [
      `expected one that fits ${target}, received none`,
      `machine: ${target}, ${glibcVersionRuntime ? `glibc ${glibcVersionRuntime}` : ''}`,
      `, Node ${process.version}\n`,
      `tried ${build}: no such file\n`,
      `tried ${prebuild}: no such file\n`,
      'npm run build',
    ]) {
      expectRefusal(() => loadAddon(folder), 'ERR_ADDON_LOAD', part);
    }
  });

  test('one that cannot be loaded is not skipped', () => {
    put(build, 'of another machine');
    put(prebuild);
    const why = 'file too short|invalid ELF header|not valid'; // says the loader of Linux, of Windows
    expectRefusal(() => loadAddon(folder), 'ERR_ADDON_LOAD', `tried ${prebuild}: not tried, since ${build} exists`);
    expect(() => loadAddon(folder)).toThrow(new RegExp(`tried ${build}: .*(${why})`));
    expect(() => loadAddon(folder)).not.toThrow(folder);
  });

  /** What loading says, in a process of its own, which a damaged library could end. */
  function refusal(): string {
    const script = `try { require('./dist/binding').loadAddon(${JSON.stringify(folder)}) } catch (e) { console.log(e.code, e.message) }`;
    return runScript(script).stdout;
  }

  const linux = process.platform === 'linux' ? test : test.skip;

  linux('one that was cut off is named, and the OpenMP runtime beside it, instead of a crash', () => {
    put(prebuild);
    const file = path.join(folder, prebuild);
    const size = statSync(file).size;
    copyFileSync(file, path.join(path.dirname(file), 'libgomp.so.1')); // another library, whole: the check looks at no more
    truncateSync(path.join(path.dirname(file), 'libgomp.so.1'), 4096);
    expect(refusal()).toMatch(
      new RegExp(`^ERR_ADDON_LOAD [^]*tried ${prebuild}: .*libgomp.so.1: cut off: 4096 bytes of ${size}`),
    );
    truncateSync(file, 100_000);
    expect(refusal()).toMatch(new RegExp(`^ERR_ADDON_LOAD [^]*tried ${prebuild}: .*cut off: 100000 bytes of ${size}`));
  });

  linux('one of another machine says which, where the loader would say that there is no such file', () => {
    put(build);
    const file = path.join(folder, build);
    const bytes = readFileSync(file);
    bytes.writeUInt16LE(process.arch === 'x64' ? 183 : 62, 18);
    writeFileSync(file, bytes);
    const other = process.arch === 'x64' ? 'arm64' : 'x64';
    expectRefusal(() => loadAddon(folder), 'ERR_ADDON_LOAD', `made for ${other}, not for ${process.arch}`);
    bytes.writeUInt16LE(8, 18);
    writeFileSync(file, bytes);
    expectRefusal(() => loadAddon(folder), 'ERR_ADDON_LOAD', `made for another machine, not for ${process.arch}`);
  });
});
