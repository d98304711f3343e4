import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root, runNode } from '../support/child';
import { temporaryFolder } from '../support/formats';

const folder = temporaryFolder();
const read = (name: string): string => readFileSync(path.join(root, name), 'utf8');
const readme = read('README.md');
const blocks = (language: string): string[] =>
  [...readme.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map(([, block]) => block as string);

/** As in an application that has the package: files in the temporary folder. */
function run(line: string): { stdout: string; stderr: string } {
  const args = line
    .replace(/^npx qarepvgg /, '')
    .split(/ +/)
    .map((arg) =>
      arg
        .replace(/^node_modules\/qarepvgg\//, `${root}/`)
        .replace(/^(?=[\w-]+\.(?:safetensors|onnx|html)$)/, `${folder}/`),
    )
    .map((arg) => (arg === 'clothes' ? 'examples/data/fashion-mnist' : arg));
  const { stdout, stderr, status } = runNode(['dist/cli/index.js', ...args]);
  expect({ line, stderr, status }).toEqual({ line, stderr: '', status: 0 });
  return { stdout, stderr };
}

test('an ONNX file from npm, and the code that runs it', () => {
  const [example = '', ...others] = blocks('js');
  expect(others).toEqual([]); // CI runs all blocks of JavaScript as one file
  expect(read('README.zh-CN.md')).toContain(example);
  const { stdout, stderr, status } = runNode(['--input-type=module', '-e', example]);
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  expect(stdout).toMatch(/name: 'x'.*\n\[ 1, 1, 320, 320 \]\n$/s);
});

test('train, fuse, quantise, serve: each command runs and prints lines of the kind shown', () => {
  const block = blocks('sh').find((text) => text.includes('qarepvgg train')) as string;
  const shown = block
    .split(/^\$ /m)
    .slice(1)
    .map((part) => part.trimEnd().split('\n'));
  const commands = shown.map(([line]) => line as string);
  expect(commands.map((line) => line.replace(/^npx qarepvgg (\w+).*/, '$1').split(' ')[0])).toEqual([
    'cp',
    'train',
    'fuse',
    'quantize',
    'serve',
    'curl',
  ]);
  for (const [line = '', ...output] of shown.slice(1, 4)) {
    // Fewer epochs show the same lines.
    const fewer = line.replace('--epochs 30', '--epochs 1');
    const inFolder = line.includes(' train ') ? `${fewer} --out model.safetensors` : fewer;
    const printed = run(inFolder).stdout.replaceAll(`${folder}/`, '');
    const kind = (text: string): string => text.replace(/\d[\d,.:e-]*/g, '#');
    const lines = printed
      .split('\n')
      .map(kind)
      .map((text) => text.replace(/stage#|linear/, 'LAYER'));
    for (const text of output) expect(lines).toContainEqual(kind(text).replace(/stage#|linear/, 'LAYER'));
  }
});

test('docs/models.md shows examples/block.mjs, which runs', () => {
  expect(read('docs/models.md')).toContain(`\`\`\`js\n${read('examples/block.mjs')}\`\`\``);
  const { stdout, status } = runNode(['examples/block.mjs']);
  expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringMatching(/difference [1-9]\.\de-[67]\n$/) });
});

test('links and pictures lead to files', () => {
  const targets = [...readme.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)].map(([, target]) => target as string);
  expect(targets.length).toBeGreaterThan(15);
  expect(targets.filter((target) => !/^https:/.test(target) && !existsSync(path.join(root, target)))).toEqual([]);
});

test('it is short', () => {
  for (const name of ['README.md', 'README.zh-CN.md']) expect(read(name).split('\n').length).toBeLessThanOrEqual(150);
});

test('its figures are those of docs/benchmarks.md', () => {
  const measured = read('docs/benchmarks.md');
  const rows = [...readme.matchAll(/^\| .* \| ([\d.]+) +\| ([\d.]+) +\| ([\d.]+)x +\|$/gm)];
  expect(rows.length).toBeGreaterThanOrEqual(5);
  for (const [row, ours, theirs] of rows) {
    const pair = new RegExp(`\\| +${ours} \\| +[\\d.]+ \\| +${theirs} \\|`);
    expect([row, pair.test(measured)]).toEqual([row, true]);
  }
});

test('the Chinese README has the same code, figures and links', () => {
  const facts = (name: string): unknown[] => {
    const text = read(name);
    const links = [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, target]) => target as string);
    return [
      [...text.matchAll(/```\w*\n.*?```/gs)].map(([block]) => block),
      [...text.matchAll(/^\| .*\|$/gm)]
        .map(([row]) => row.replace(/^\| [^|]*\|/, ''))
        .filter((row) => /\d\.\d+x/.test(row))
        .map((row) => row.match(/\d[\d.]*x?/g)?.sort()),
      links.filter((target) => !/^README/.test(target)).sort(),
    ];
  };
  expect(facts('README.zh-CN.md')).toEqual(facts('README.md'));
});

test('an ONNX file from npm to integers, by one command', () => {
  const block = blocks('sh').find((text) => text.includes('quantize det.onnx')) as string;
  const [copy = '', line = ''] = block.replaceAll(/\\\n */g, '').split('\n');
  const [, source = '', target = ''] = copy.split(' ');
  copyFileSync(path.join(root, source), path.join(folder, target));
  const pages = path.join(folder, 'pages');
  mkdirSync(pages);
  // Dark lines on white.
  const bytes = Uint8Array.from({ length: 3 * 64 * 64 }, (_, i) => (Math.floor(i / 576) % 3 === 0 && i % 4 ? 20 : 235));
  writeFileSync(path.join(pages, 'page.ppm'), Buffer.concat([Buffer.from('P6 64 64 255\n'), bytes]));
  const { stdout } = run(`${line.replace('--data pages', `--data ${pages}`)} --size 64`);
  expect(stdout).toMatch(/1 images? in .* nodes in integers\n/);
  expect(existsSync(path.join(folder, 'det.safetensors'))).toBe(true);
});

test('both languages say how to build and test a checkout', () => {
  for (const name of ['README.md', 'README.zh-CN.md']) {
    for (const command of ['npm install && npm run demo', 'npm install && npm test'])
      expect(read(name)).toContain(command);
  }
});
