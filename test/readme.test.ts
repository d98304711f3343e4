import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runNode } from './support/child';

const root = join(__dirname, '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

test('the example of the README is examples/block.mjs, and runs', () => {
  const [, example] = /```js\n(.*?)```/s.exec(read('README.md')) ?? [];
  expect(example).toBe(read('examples/block.mjs'));
  const { stdout, status } = runNode(['examples/block.mjs']);
  expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringMatching(/difference [1-9]\.\de-[67]\n$/) });
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
