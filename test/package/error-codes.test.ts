import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../support/child';

const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');
const codesIn = (text: string, pattern: RegExp): Set<string> =>
  new Set([...text.matchAll(pattern)].map(([, code]) => code as string));
const filesOf = (folder: string, ending: RegExp): string[] =>
  readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => ending.test(name))
    .map((name) => path.join(folder, name));

const [, union = ''] = /export type ErrorCode =(.*?);/s.exec(read('lib/errors.ts')) ?? [];
const codes = codesIn(union, /'(ERR_\w+)'/g);
const page = read('docs/errors.md');
const rows = [...page.matchAll(/^\| `(ERR_\w+)` *\| (.*?) *\| (.*?) *\| (.*?) *\|$/gm)];

test('docs/errors.md has each code once, with a cause and a cure', () => {
  expect(rows.map(([, code]) => code).sort()).toEqual([...codes].sort());
  for (const [, code, , cause, cure] of rows) {
    expect([code, cause]).toEqual([code, expect.stringMatching(/\.$/)]);
    expect([code, cure]).toEqual([code, expect.stringMatching(/\.$/)]);
  }
});

test('and the HTTP status that the server answers with', () => {
  const statuses = [...read('lib/serve/status.ts').matchAll(/(ERR_\w+): (\d+),/g)].map(([, code, status]) => [
    code,
    status,
  ]);
  expect(statuses.length).toBeGreaterThan(10);
  const documented = rows.map(([, code, status]) => [code, status]).filter(([, status]) => status !== '');
  expect(documented.sort()).toEqual(statuses.sort());
});

test('the native code has no code that TypeScript does not know, and names each in one place', () => {
  const [, names = ''] = /namespace code \{(.*?)\}/s.exec(read('native/base/error.h')) ?? [];
  const native = codesIn(names, /"(ERR_\w+)"/g);
  expect(native.size).toBeGreaterThan(10);
  expect([...native].filter((code) => !codes.has(code))).toEqual([]);
  const elsewhere = filesOf('native', /\.(cc|h|inc)$/).filter(
    (file) => !/^native\/(test|bench)\//.test(file) && file !== 'native/base/error.h' && /"ERR_/.test(read(file)),
  );
  expect(elsewhere).toEqual([]);
});

test('every code is thrown somewhere', () => {
  const sources = [...filesOf('lib', /\.ts$/).filter((file) => file !== 'lib/errors.ts'), 'native/base/error.h'];
  const used = new Set(sources.flatMap((file) => [...codesIn(read(file), /['"](ERR_\w+)['"]/g)]));
  expect([...codes].filter((code) => !used.has(code))).toEqual([]);
});
