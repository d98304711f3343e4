import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { exportOnnx, saveModel } from '../../lib';
import { root, runNode } from '../support/child';
import { temporaryFolder } from '../support/formats';
import { deployNetwork, tiny } from '../support/networks';

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);
const flag = Number(process.versions.node.split('.')[0]) >= 24 ? '--permission' : '--experimental-permission';

test("refusals of Node's permission model are errors of this package, and name the flag", async () => {
  const model = deployNetwork('qarepvgg_a0', tiny);
  await saveModel(model, file('model.safetensors'));
  await exportOnnx(model, file('model.onnx'));
  writeFileSync(file('x.idx'), '');
  const script = `
    const q = require('.');
    const folder = ${JSON.stringify(folder)};
    const model = q.createModel('qarepvgg_a0', ${JSON.stringify(tiny)});
    const tries = {
      loadModel: () => q.loadModel(folder + '/model.safetensors'),
      loadStateDict: () => q.loadStateDict(folder + '/model.safetensors'),
      importOnnx: () => q.importOnnx(folder + '/model.onnx'),
      create: () => q.InferenceSession.create(folder + '/model.safetensors'),
      loadIdx: () => q.loadIdx(folder + '/x.idx', folder + '/x.idx'),
      loadImageFolder: () => q.loadImageFolder(folder),
      saveModel: () => q.saveModel(model, folder + '/out.safetensors'),
      fit: () => new q.Trainer(model).saveCheckpoint(folder + '/out.safetensors'),
    };
    (async () => {
      for (const [name, run] of Object.entries(tries)) {
        await run().then(() => console.log(name, 'done'), (e) => console.log(name, e.constructor === q.QARepVGGError, e.code, /--allow-fs-(read|write)/.exec(e.message)?.[0]));
      }
    })();`;
  const { stdout, stderr } = runNode([flag, '--allow-addons', `--allow-fs-read=${root}/*`, '-e', script]);
  const lines = stdout.trim().split('\n');
  expect({ lines, stderr: stderr.replace(/^.*(Warning|trace-warnings|security).*\n/gm, '') }).toEqual({
    lines: ['loadModel', 'loadStateDict', 'importOnnx', 'create', 'loadIdx', 'loadImageFolder', 'saveModel', 'fit'].map(
      (name) => expect.stringMatching(new RegExp(`^${name} true ERR_INVALID_ARG --allow-fs-(read|write)$`)),
    ),
    stderr: '',
  });
});

test('an addon that may not be loaded is named', () => {
  const { stderr } = runNode([flag, `--allow-fs-read=${root}/*`, '-e', "require('.')"]);
  expect(stderr).toMatch(/ERR_ADDON_LOAD/);
});
