import { runNode } from './support/child';

interface Row {
  readonly what: string;
  readonly ours: readonly { readonly label: string; readonly ratio: { readonly median: number } }[];
  readonly theirs: { readonly median: number };
}

test('bench:ort compares speed, start, event loop delay and queue with onnxruntime', () => {
  const args = ['--quick', '--size', '32', '--rounds', '1', '--batches', '1', '--json'];
  const { stdout, stderr, status } = runNode(['bench/onnxruntime.mjs', ...args]);
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  const { sections: all } = JSON.parse(stdout) as { sections: { title: string; rows: Row[] }[] };
  const sections = all.filter(({ title }) => !title.startsWith('TensorFlow.js')); // only where somebody installed it
  expect(sections.map(({ title, rows }) => [title, rows.length])).toEqual([
    ['Speed in float32', 1],
    ['Speed in INT8', 1],
    ['INT8 against float32', 2],
    ['Serving', 4],
  ]);
  for (const { ours, theirs } of sections.flatMap(({ rows }) => rows)) {
    expect(theirs.median).toBeGreaterThan(0);
    expect(ours.map(({ label }) => label)).toContain('auto');
    for (const { ratio } of ours) expect(ratio.median).toBeGreaterThan(0);
  }
});

test('what makes no sense: the usage, and exit code 2', () => {
  const { stderr, status } = runNode(['bench/onnxruntime.mjs', '--rounds', '0']);
  expect({ stderr, status }).toEqual({ stderr: expect.stringContaining('usage: npm run bench:ort'), status: 2 });
});
