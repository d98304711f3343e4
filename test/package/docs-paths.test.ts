import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.join(__dirname, '../..');

/** Paths of the tree in a document: "lib/nn/structure.ts", without a place for a name such as "<op>". */
function pathsIn(document: string): string[] {
  const text = readFileSync(path.join(root, document), 'utf8');
  const found = text.match(/\b(?:lib|native|test|scripts|docs|examples|bench)\/[\w./-]*[\w/](?![\w<])/g) ?? [];
  return [...new Set(found)].filter((name) => !name.startsWith('docs/api'));
}

test.each([
  ['docs/architecture.md', 40],
  ['CONTRIBUTING.md', 40],
])('every path that %s names exists', (document, least) => {
  const paths = pathsIn(document);
  expect(paths.length).toBeGreaterThan(least);
  expect(paths.filter((name) => !existsSync(path.join(root, name)))).toEqual([]);
});
