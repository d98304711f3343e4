import { readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { loadModel } from '../../lib';
import { root, runNode } from '../support/child';
import { temporaryFolder } from '../support/formats';

const folder = temporaryFolder();
const count = (text: string, part: string | RegExp): number => text.split(part).length - 1;
const read = (name: string): string => readFileSync(path.join(folder, name), 'utf8');

/** On the 512 training images of the repository, 4 steps for an epoch. */
function run(...flags: string[]) {
  return runNode([
    ...['examples/ablation/run.mjs', '--data', 'examples/data/fashion-mnist', '--out', folder],
    ...['--variants', 'S1,VGG', '--seeds', '1', '--epochs', '1', '--long-variants', '', '--calibration-images', '32'],
    ...flags,
  ]);
}

interface Result {
  readonly variant: string;
  readonly float: number;
  readonly quantised: readonly { readonly recipe: string; readonly bits: number; readonly accuracy: number }[];
  readonly layers: readonly {
    readonly name: string;
    readonly identityScale?: number;
    readonly distributions?: object;
  }[];
  readonly shiftGap?: number;
}

let first: ReturnType<typeof run>;
let results: Result[];

beforeAll(() => {
  first = run();
  results = JSON.parse(read('results.json')) as Result[];
});

test('trains each variant, and keeps networks and results', async () => {
  expect({ status: first.status, stderr: first.stderr }).toEqual({ status: 0, stderr: '' });
  const networks = ['S1', 'VGG'].map((variant) => `${variant}-seed1-epochs1`);
  const files = networks.flatMap((name) => [`${name}.json`, `${name}.safetensors`]);
  expect(readdirSync(folder).sort()).toEqual([...files, 'report.html', 'results.json', 'tables.md'].sort());
  for (const name of networks) {
    const { options } = await loadModel(path.join(folder, `${name}.safetensors`));
    expect(options).toMatchObject({ blocks: [2, 4, 8, 1], numClasses: 10, seed: 1 });
  }
});

test('the plain network has one branch, and the 3x3 weights of the others to begin with', () => {
  const script = `
    import { makeNetwork } from './examples/ablation/experiment.mjs';
    const [plain, full] = [makeNetwork('VGG', 3), makeNetwork('S4', 3)];
    const [state, other] = [plain.stateDict(), full.stateDict()];
    const same = (a, b) => a.length === b.length && a.every((value, i) => value === b[i]);
    console.log(plain.form, plain.training, ...['stage0', 'stage3.5'].map((name) =>
      same(state[name + '.rbr_reparam.weight'].data, other[name + '.rbr_dense.conv.weight'].data) &&
      state[name + '.rbr_reparam.bias'].data.every((value) => value === 0)));
  `;
  expect(runNode(['--input-type=module', '-e', script]).stdout).toBe('partial true true true\n');
});

test('the results: every recipe at every number of bits, every layer', () => {
  expect(results.map(({ variant }) => variant)).toEqual(['S1', 'VGG']);
  for (const { float, quantised, layers } of results) {
    expect(new Set(quantised.map(({ recipe, bits }) => `${recipe} ${bits}`)).size).toBe(4 * 5);
    for (const accuracy of [float, ...quantised.map(({ accuracy }) => accuracy)]) {
      expect(accuracy).toBeGreaterThan(0);
      expect(accuracy).toBeLessThan(1);
    }
    expect(layers).toHaveLength(17);
    expect(layers.every(({ distributions }) => distributions === undefined)).toBe(true);
  }
  const [repvgg, plain] = results as [Result, Result];
  // Of the 16 blocks of a RepVGG 12 have an identity, and batch norms on 3x3 and 1x1, whose shifts stay the same.
  expect(repvgg.layers.filter(({ identityScale }) => identityScale !== undefined)).toHaveLength(12);
  expect(repvgg.shiftGap).toBe(0);
  expect(plain.layers.filter(({ identityScale }) => identityScale !== undefined)).toHaveLength(0);
  expect(plain.shiftGap).toBeUndefined();
});

test('the tables, beside the figures of the paper', () => {
  const tables = read('tables.md');
  expect(tables.match(/^### .*/gm)).toEqual([
    '### Float and INT8',
    ...['tensor', 'channel', 'default', 'corrected'].map((recipe) => `### Fewer bits, recipe ${recipe}`),
    '### Layers',
  ]);
  const [repvgg] = results as [Result];
  expect(tables).toMatch(new RegExp(`\\| S1 +\\| 71.7 +\\| 61.6 +\\| ${(100 * repvgg.float).toFixed(2)} +\\|`));
  // All rows of a table have as many cells as its head.
  for (const table of tables.split('### ').slice(1)) {
    const rows = table.split('\n').filter((line) => line.startsWith('|'));
    expect(new Set(rows.map((line) => count(line, '|'))).size).toBe(1);
  }
});

test('the page: plots of all layers, distributions of both variants, nothing from elsewhere', () => {
  const page = read('report.html');
  // Two plots by bits and six by layers; activations and weights of 17 layers of both networks.
  expect([count(page, '<figure>'), count(page, '<article>'), count(page, '<table>')]).toEqual([8, 34, 6]);
  expect(count(page, '<svg ')).toBe(8 + 2 * 34);
  expect(page).not.toMatch(/<script|<link|<img|src=|href=|url\(|@import|http|NaN|undefined|Infinity|\[object/);
  for (const tag of ['svg', 'table', 'tr', 'td', 'figure', 'section', 'article', 'div', 'ul', 'li', 'main']) {
    expect([tag, count(page, new RegExp(`<${tag}[ >]`))]).toEqual([tag, count(page, `</${tag}>`)]);
  }
});

test('a second run does again what is missing, and nothing else', () => {
  const before = read('results.json');
  rmSync(path.join(folder, 'VGG-seed1-epochs1.json'));
  const { status, stdout } = run();
  expect({ status, lines: stdout.trim().split('\n').length }).toEqual({ status: 0, lines: 2 });
  expect(stdout).toMatch(/VGG-seed1-epochs1: float .* done\n/);
  expect(read('results.json')).toBe(before);
});

test('a variant that there is not', () => {
  const { status, stderr } = run('--variants', 'S1,S9');
  expect(status).toBe(1);
  expect(stderr).toContain('expected variants among S0, S1, S2, S3, S4, VGG, received S9');
});

describe('what is committed', () => {
  const committed = (name: string): string => readFileSync(path.join(root, 'examples/ablation', name), 'utf8');

  test('three seeds of every variant, trained alike', () => {
    const all = JSON.parse(committed('results/results.json')) as (Result & { seed: number; epochs: number })[];
    const epochs = Math.min(...all.map((result) => result.epochs));
    const trainings = all.filter((result) => result.epochs === epochs).map(({ variant, seed }) => `${variant} ${seed}`);
    const expected = [1, 2, 3].flatMap((seed) =>
      ['S0', 'S1', 'S2', 'S3', 'S4', 'VGG'].map((name) => `${name} ${seed}`),
    );
    expect(trainings).toEqual(expected);
  });

  test('the tables are those of the results, and the README has them from there', () => {
    const script = `
      import { readFileSync } from 'node:fs';
      import { renderTables } from './examples/ablation/tables.mjs';
      const results = JSON.parse(readFileSync('examples/ablation/results/results.json', 'utf8'));
      process.stdout.write(renderTables(results));
    `;
    const tables = committed('results/tables.md');
    expect(runNode(['--input-type=module', '-e', script]).stdout).toBe(tables);
    const lines = new Set(tables.split('\n'));
    const [, shown = ''] = committed('README.md').split('## What came out');
    const rows = shown.split('\n').filter((line) => line.startsWith('|'));
    expect(rows.length).toBeGreaterThan(20);
    expect(rows.filter((line) => !lines.has(line))).toEqual([]);
  });
});
