import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { shippedFiles } from '../../lib/addon-files';
import { ADDON, OPENMP, TARGETS } from '../../scripts/release/targets.cjs';
import { jsonOf, root } from '../support/child';
import { temporaryFolder } from '../support/formats';

const folder = realpathSync(temporaryFolder());
const modules = path.join(folder, 'app', 'node_modules');
const own = path.join(modules, 'qarepvgg');
const target = `${process.platform}-${process.arch}`;

/** An application with the package as npm installs it: no build, but prebuilt addons and what lies beside them. */
beforeAll(() => {
  for (const name of ['dist', 'models', 'package.json'])
    cpSync(path.join(root, name), path.join(own, name), { recursive: true });
  const dependencies = ['bindings', 'file-uri-to-path'];
  for (const name of dependencies) {
    cpSync(path.join(root, 'node_modules', name), path.join(modules, name), { recursive: true });
  }
  for (const name of new Set([...Object.keys(TARGETS), target])) {
    const prebuilt = path.join(own, 'prebuilds', name);
    mkdirSync(prebuilt, { recursive: true });
    cpSync(path.join(root, 'build', 'Release', 'qarepvgg.node'), path.join(prebuilt, 'qarepvgg.node'));
    // Any file will do: the test is whether it is seen.
    cpSync(path.join(root, 'build', 'Release', 'qarepvgg.node'), path.join(prebuilt, 'libgomp.so.1'));
  }
  writeFileSync(
    path.join(folder, 'app', 'app.js'),
    `const { InferenceSession } = require('qarepvgg');
     (async () => {
       const session = await InferenceSession.create(require.resolve('qarepvgg/models/fashion-mnist.safetensors'));
       const { logits } = await session.run({ input: { data: new Uint8Array(784), dims: [1, 28, 28, 1] } });
       console.log(JSON.stringify(logits.dims));
     })();`,
  );
});

test('every file that is shipped for a machine is named for the tracers', () => {
  const expected = Object.keys(TARGETS).flatMap((name) =>
    [ADDON, OPENMP].map((file) => path.join(root, 'prebuilds', name, file)),
  );
  expect([...shippedFiles].sort()).toEqual(expected.sort());
});

test('tracers of files see the addon, the OpenMP runtime and the model, and what they copy runs', () => {
  const files = jsonOf<string[]>(['test/support/trace.mjs', folder]);
  const ours = files.filter((file) => file.startsWith('node_modules/qarepvgg/'));
  expect(ours).toEqual(
    expect.arrayContaining(
      [`prebuilds/${target}/qarepvgg.node`, `prebuilds/${target}/libgomp.so.1`, 'models/fashion-mnist.safetensors'].map(
        (file) => `node_modules/qarepvgg/${file}`,
      ),
    ),
  );
  rmSync(path.join(folder, 'traced', 'node_modules', 'qarepvgg', 'prebuilds', target, 'libgomp.so.1'));
  const output = execFileSync(process.execPath, ['app.js'], { cwd: path.join(folder, 'traced'), encoding: 'utf8' });
  expect(JSON.parse(output)).toEqual([1, 10]);
});
