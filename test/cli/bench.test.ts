import { jsonOf, runNode } from '../support/child';

interface Row {
  readonly what: string;
  readonly ours: readonly { readonly label: string; readonly ratio: { readonly median: number } }[];
  readonly theirs: { readonly median: number };
}

interface BusyRow {
  readonly task: string;
  readonly condition: string;
  readonly toOne: { readonly median: number };
  readonly toTheirs?: { readonly median: number };
  readonly delay: { readonly ours?: number };
}

test('bench:ort compares speed, start, event loop delay and queue with onnxruntime', () => {
  const args = ['--quick', '--size', '32', '--rounds', '1', '--batches', '1', '--json'];
  const { sections: all } = jsonOf<{ sections: { title: string; rows: Row[] }[] }>(['bench/onnxruntime.mjs', ...args]);
  const sections = all.filter(({ title }) => !title.startsWith('TensorFlow.js')); // only where somebody installed it
  expect(sections.map(({ title, rows }) => [title, rows.length])).toEqual([
    ['Speed in float32', 1],
    ['Speed in INT8', 1],
    ['INT8 against float32', 3],
    ['Serving', 4],
  ]);
  for (const { ours, theirs } of sections.flatMap(({ rows }) => rows)) {
    expect(theirs.median).toBeGreaterThan(0);
    expect(ours.map(({ label }) => label)).toContain('auto');
    for (const { ratio } of ours) expect(ratio.median).toBeGreaterThan(0);
  }
});

test('bench:ort measures one section where that is asked for', () => {
  const args = ['--quick', '--size', '32', '--rounds', '1', '--sections', 'gain', '--precisions', 'int8', '--json'];
  const { sections } = jsonOf<{ sections: { title: string; rows: Row[] }[] }>(['bench/onnxruntime.mjs', ...args]);
  expect(sections.map(({ title, rows }) => [title, rows.map(({ what }) => what)])).toEqual([
    [
      'INT8 against float32',
      ["INT8 / our float32 'auto'", "INT8 / our float32 'gemm'", 'INT8 / float32 of onnxruntime'],
    ],
  ]);
});

test('bench:busy compares default threads and one', () => {
  const args = ['--quick', '--rounds', '1', '--conditions', 'quiet', '--tasks', 'training', '--json'];
  const { rows } = jsonOf<{ rows: BusyRow[] }>(['bench/busy.mjs', ...args]);
  expect(rows.map(({ task, condition }) => `${task} ${condition}`)).toEqual(['training quiet']);
  for (const { toOne, toTheirs, delay } of rows) {
    for (const value of [toOne.median, Number(delay.ours)]) expect(value).toBeGreaterThan(0);
    expect(toTheirs).toBeUndefined(); // onnxruntime does not train
  }
});

test.each([
  ['--rounds', '0'],
  ['--sections', 'speed,other'],
  ['--threads', '1,x'],
  ['--size', '32,64'],
])('what makes no sense (%s %s): the usage, and exit code 2', (...args) => {
  const { stderr, status } = runNode(['bench/onnxruntime.mjs', ...args]);
  expect({ stderr, status }).toEqual({ stderr: expect.stringContaining('usage: npm run bench:ort'), status: 2 });
});

describe.each(['accuracy', 'busy', 'model', 'onnxruntime', 'startup', 'torch', 'torch-network'])(
  'bench/%s.mjs',
  (name) => {
    test('--help', () => {
      const { stdout, stderr, status } = runNode([`bench/${name}.mjs`, '--help']);
      expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
      expect(stdout).toMatch(/^usage: npm run bench:/);
    });

    test('an option that it does not have: that, the usage, and exit code 2', () => {
      const { stdout, stderr, status } = runNode([`bench/${name}.mjs`, '--fast']);
      expect({ stdout, status }).toEqual({ stdout: '', status: 2 });
      expect(stderr).toMatch(/'--fast'.*\nusage: npm run bench:/);
    });
  },
);
