import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.join(__dirname, '../..');
const documents = [
  ...['README.md', 'README.zh-CN.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md'],
  ...readdirSync(path.join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
  ...['examples/ablation/README.md', 'examples/queue/README.md', 'examples/images/README.md'],
];

/** The text without blocks of code, whose lines may begin with # or contain brackets. */
function proseOf(document: string): string {
  return readFileSync(path.join(root, document), 'utf8').replaceAll(/^```.*?^```$/gms, '');
}

/** The anchors that GitHub gives the headings of a document. */
function anchorsOf(document: string): string[] {
  return [...proseOf(document).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

function isBroken(document: string, link: string): boolean {
  const [file = '', anchor] = link.split('#');
  const target = file === '' ? document : path.join(path.dirname(document), file);
  if (!existsSync(path.join(root, target))) return true;
  return anchor !== undefined && target.endsWith('.md') && !anchorsOf(target).includes(anchor);
}

test.each(documents)('links of %s lead to files and headings', (document) => {
  const links = [...proseOf(document).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link as string);
  expect(links.filter((link) => !/^[a-z]+:/.test(link) && isBroken(document, link))).toEqual([]);
});

test('a link to a missing file or heading is found', () => {
  expect(isBroken('docs/onnx.md', 'missing.md')).toBe(true);
  expect(isBroken('docs/onnx.md', '#missing')).toBe(true);
  expect(isBroken('docs/onnx.md', '../README.md#run-an-onnx-file')).toBe(false);
});
