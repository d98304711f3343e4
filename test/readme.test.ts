import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createModel, loadModel, saveStateDict } from '../lib';
import { runNode } from './support/child';
import { temporaryFolder } from './support/formats';

const root = join(__dirname, '..');
const folder = temporaryFolder();
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

test('the example of the README is examples/block.mjs, and runs', () => {
  const [, example] = /```js\n(.*?)```/s.exec(read('README.md')) ?? [];
  expect(example).toBe(read('examples/block.mjs'));
  const { stdout, status } = runNode(['examples/block.mjs']);
  expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringMatching(/difference [1-9]\.\de-[67]\n$/) });
});

test('from images, and from a checkpoint, to deploy models: the commands and the code, on fewer images', async () => {
  const [, section = ''] = /### A deploy model of your own\n(.*?)\nFrom the network/s.exec(read('README.md')) ?? [];
  const [, commands = ''] = /```sh\n(.*?)```/s.exec(section) ?? [];
  const [, code = ''] = /```ts\n(.*?)```/s.exec(section) ?? [];
  const inFolder = (text: string): string =>
    text
      .replace(/[\w-]+\.(safetensors|pth)/g, (name) => join(folder, name))
      .replace('/usr/share/datasets/fashion-mnist', 'examples/data/fashion-mnist');
  await saveStateDict(createModel('qarepvgg_a0').stateDict(), join(folder, 'checkpoint.pth'));

  const lines = inFolder(commands).replaceAll('\\\n', '').trim().split('\n');
  expect(lines.map((line) => line.split(' ', 2))).toEqual([
    ['qarepvgg', 'train'],
    ['qarepvgg', 'fuse'],
    ['qarepvgg', 'fuse'],
    ['qarepvgg', 'verify'],
  ]);
  for (const line of lines) {
    const { stderr, status } = runNode(['dist/cli/index.js', ...line.split(/ +/).slice(1)]);
    expect({ line, stderr, status }).toEqual({ line, stderr: '', status: 0 });
  }
  const fashion = await loadModel(join(folder, 'fashion.safetensors'));
  expect([fashion.form, fashion.options.labels?.[9]]).toEqual(['deploy', 'Ankle boot']);

  const fused = readFileSync(join(folder, 'a0.safetensors'));
  writeFileSync(join(folder, 'a0.safetensors'), '');
  const print = 'console.log(logits.dims.join());';
  const { stdout, stderr } = runNode(['--input-type=module', '-e', `${inFolder(code)}${print}`]);
  expect({ stdout, stderr }).toEqual({ stdout: '1,1000\n', stderr: '' });
  expect(readFileSync(join(folder, 'a0.safetensors')).equals(fused)).toBe(true);
});

test('the Chinese README has the same code, tables and links', () => {
  const facts = (path: string): string[][] => {
    const text = read(path);
    const links = [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, target]) => target as string);
    return [
      [...text.matchAll(/```\w*\n.*?```/gs)].map(([block]) => block),
      [...text.matchAll(/^\| .*\|$/gm)]
        .map(([row]) => row.replace(/^\| [^|]*\|/, ''))
        .filter((row) => /\d\.\d|%/.test(row)),
      links.filter((target) => !/^README/.test(target)).sort(),
    ];
  };
  expect(facts('README.zh-CN.md')).toEqual(facts('README.md'));
});
