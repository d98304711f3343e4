import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { exportOnnx, fashionMnistClasses, loadModel, type Network } from '../../lib';
import { Classifier } from '../../lib/vision';
import { root, runNode } from '../support/child';
import { temporaryFolder } from '../support/formats';

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);
const boot = 'examples/images/ankle-boot.png';
const cat = 'examples/images/cat.ppm';
const packaged = path.join(root, 'models/fashion-mnist.safetensors');

const classify = (...args: string[]) => runNode(['dist/cli/index.js', 'classify', ...args]);

function printed(...args: string[]): string {
  const { stdout, stderr, status } = classify(...args);
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  return stdout;
}

test('the network in the package knows a boot', () => {
  const lines = printed(boot).split('\n');
  expect(lines.slice(0, 2)).toEqual([boot, expect.stringMatching(/^ {2}9\d\.\d % {2}Ankle boot$/)]);
  expect(lines.slice(4)).toEqual(['', expect.stringContaining('which knows only clothes; --model takes another'), '']);
});

test('of several photographs, in their order: what the library says', async () => {
  const classifier = await Classifier.create(packaged, { top: 2 });
  const classes = await classifier.classify([cat, boot].map((name) => path.join(root, name)));
  classifier.dispose();
  expect(JSON.parse(printed(cat, boot, '--top', '2', '--json'))).toEqual([
    { file: cat, classes: classes[0] },
    { file: boot, classes: classes[1] },
  ]);
});

test('an ONNX file, and labels of its own, which are wrapped at 80 columns', async () => {
  const model = await loadModel<Network>(packaged);
  await exportOnnx(model.eval().switchToDeploy(), file('model.onnx'));
  const names = fashionMnistClasses.map((name) => `${name}, ${'also known by many other names, '.repeat(4)}or so`);
  writeFileSync(file('labels.txt'), `${names.join('\n')}\n`);
  const flags = ['--model', file('model.onnx'), '--labels', file('labels.txt'), '--top', '10'];
  const lines = printed(boot, ...flags).split('\n');
  expect(lines.filter((line) => line.length > 80)).toEqual([]);
  expect(lines[1]).toMatch(/ % {2}Ankle boot, also known/);
  const [{ classes }] = JSON.parse(printed(boot, ...flags, '--json')) as [{ classes: { label: string }[] }];
  expect(classes.map(({ label }) => label).sort()).toEqual([...names].sort());
});

test('--skip-unreadable: the others, and which one was skipped', () => {
  writeFileSync(file('bad.jpg'), 'no image');
  const { stderr, status } = classify(boot, file('bad.jpg'), cat);
  expect({ stderr, status }).toEqual({
    stderr: expect.stringMatching(/bad\.jpg.*--skip-unreadable skips it/),
    status: 1,
  });
  const photos = [boot, file('bad.jpg'), cat];
  expect(JSON.parse(printed(...photos, '--skip-unreadable', '--json'))).toEqual([
    { file: boot, classes: expect.any(Array) },
    { file: file('bad.jpg'), skipped: expect.stringContaining('received a file that begins with "no image"') },
    { file: cat, classes: expect.any(Array) },
  ]);
  const text = printed(...photos, '--skip-unreadable');
  expect(text).toMatch(/bad\.jpg\n {2}skipped: {2}/);
  expect(text).toMatch(/Ankle boot/);
  const none = classify(file('bad.jpg'), file('bad.jpg'), '--skip-unreadable');
  expect(none).toMatchObject({
    status: 1,
    stdout: '',
    stderr: expect.stringContaining('at least one that can be read'),
  });
});

test.each([
  [['nowhere.png'], 1, 'readImage, "nowhere.png": expected a file that can be read'],
  [[boot, 'README.md'], 1, 'readImage, "README.md": expected an image'],
  [[boot, '--model', 'README.md'], 1, 'InferenceSession.create, "README.md"'],
  [[boot, '--labels', 'nowhere.txt'], 1, 'readLabels, "nowhere.txt": expected a file that can be read'],
  [[boot, '--labels', 'three.txt'], 2, 'expected 10 names, one for each class of the model, received 3'],
  [[boot, '--top', '0'], 2, "option '--top <n>' argument '0' is invalid"],
  [[], 2, "missing required argument 'photos'"],
])('%j: exit code %i', (args, expected, message) => {
  writeFileSync(file('three.txt'), 'a\nb\nc\n');
  const { stdout, stderr, status } = classify(...args.map((arg) => (arg === 'three.txt' ? file(arg) : arg)));
  expect({ stdout, status }).toEqual({ stdout: '', status: expected });
  expect(stderr).toContain(message);
});

test('docs/vision.md shows what is printed', () => {
  const [, shown = ''] =
    /\$ npx qarepvgg classify node_modules\/qarepvgg\/(.*?)\n```/s.exec(
      readFileSync(path.join(root, 'docs/vision.md'), 'utf8'),
    ) ?? [];
  const [name = '', ...lines] = shown.split('\n');
  expect(lines.join('\n').replace('node_modules/qarepvgg/', '')).toBe(printed(name).trimEnd());
});
