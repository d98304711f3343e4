// npm run bench:startup: from `require` to the result of the first inference of the network that comes with the package, in new
// processes, one after the other.

import { execFileSync } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { median } from './lib/numbers.mjs';
import { readCount, readOptions } from './lib/options.mjs';

const usage = `usage: npm run bench:startup -- [options]
  --from FOLDER   the application whose package is measured, default this one
  --rounds N      processes, default 15
  --json          print JSON`;

const values = readOptions(usage, {
  from: { type: 'string', default: dirname(dirname(fileURLToPath(import.meta.url))) },
  rounds: { type: 'string', default: '15' },
  json: { type: 'boolean', default: false },
});

const script = `
  const start = performance.now();
  const { InferenceSession, loadModel } = require('qarepvgg');
  const required = performance.now();
  const { dirname, join } = require('node:path');
  const file = join(dirname(require.resolve('qarepvgg/package.json')), 'models', 'fashion-mnist.safetensors');
  (async () => {
    const session = await InferenceSession.create((await loadModel(file)).eval().reparameterize());
    await session.run({ input: { data: new Uint8Array(28 * 28), dims: [1, 28, 28, 1] } });
    console.log(JSON.stringify({ require: required - start, first: performance.now() - start }));
  })();`;

/** @type {{ require: number, first: number }[]} */
const times = Array.from({ length: readCount(usage, values.rounds) }, () =>
  JSON.parse(execFileSync(process.execPath, ['-e', script], { cwd: values.from, encoding: 'utf8' })),
);
const first = times.map((time) => time.first);
const result = {
  rounds: times.length,
  requireMedian: median(times.map((time) => time.require)),
  fastest: Math.min(...first),
  median: median(first),
};
if (values.json) console.log(JSON.stringify(result));
else {
  console.log(`require: ${result.requireMedian.toFixed(1)} ms (median of ${result.rounds} processes)`);
  console.log(`require to first inference: ${result.median.toFixed(1)} ms, fastest ${result.fastest.toFixed(1)} ms`);
}
