import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import type { ErrorCode } from '../../lib';
import { within } from '../../lib/errors';
import { checkWritable } from '../../lib/formats/atomic';
import { readSafetensors, serializeSafetensors, writeSafetensors } from '../../lib/formats/safetensors';
import { Random } from '../../lib/random';
import { root } from '../support/child';
import { asNobody, temporaryFolder } from '../support/formats';
import { expectRejection } from '../support/refusal';

const folder = path.join(temporaryFolder(), 'target');
const file = path.join(folder, 'model.safetensors');
const at = (name: string) => path.join(folder, name);
const filled = (value: number, length = 2) => ({ a: { data: new Float32Array(length).fill(value), dims: [length] } });
const stored = async () => (await readSafetensors(file)).tensors.a?.data;

beforeEach(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  writeFileSync(file, serializeSafetensors(filled(1)));
});

/** The file still holds the old content, nothing else is in the folder, and the next write works. */
async function expectOldThenNew(): Promise<void> {
  expect(await stored()).toEqual(filled(1).a.data);
  expect(readdirSync(folder)).toEqual(['model.safetensors']);
  await writeSafetensors(file, filled(2));
  expect(await stored()).toEqual(filled(2).a.data);
  expect(readdirSync(folder)).toEqual(['model.safetensors']);
}

describe('what the system refuses', () => {
  afterEach(() => jest.restoreAllMocks());

  const refusal = (code: string, errno: number) =>
    Object.assign(new Error(`${code}: text, rename '/secret/.qarepvgg-0.tmp'`), { code, errno });

  /** The class of open files, which the module does not export. */
  async function fileHandle(): Promise<fs.FileHandle> {
    const handle = await fs.open(file);
    await handle.close();
    return Object.getPrototypeOf(handle) as fs.FileHandle;
  }

  const steps: readonly (readonly [step: string, code: string, errno: number, expected: ErrorCode])[] = [
    ['realpath', 'EIO', -5, 'ERR_INVALID_ARG'],
    ['stat', 'EACCES', -13, 'ERR_INVALID_ARG'],
    ['open', 'EMFILE', -24, 'ERR_LIMIT'],
    ['open', 'EROFS', -30, 'ERR_INVALID_ARG'],
    ['chmod', 'EPERM', -1, 'ERR_INVALID_ARG'],
    ['writeFile', 'ENOSPC', -28, 'ERR_LIMIT'],
    ['writeFile', 'EDQUOT', -122, 'ERR_LIMIT'],
    ['writeFile', 'EFBIG', -27, 'ERR_LIMIT'],
    ['sync', 'EIO', -5, 'ERR_INVALID_ARG'],
    ['rename', 'EXDEV', -18, 'ERR_INVALID_ARG'],
    ['rename', 'ENOMEM', -12, 'ERR_OUT_OF_MEMORY'],
  ];
  test.each(steps)('%s: %s', async (step, code, errno, expected) => {
    const owner = ['chmod', 'writeFile', 'sync'].includes(step) ? await fileHandle() : fs;
    jest.spyOn(owner, step as never).mockRejectedValueOnce(refusal(code, errno) as never);
    const write = writeSafetensors(file, filled(2));
    await expectRejection(
      write,
      expected,
      `${JSON.stringify(file)}: expected a path that can be written, received ${code}`,
    );
    const error = await write.then(
      () => undefined,
      (reason: Error) => reason,
    );
    expect(inspect(error)).not.toContain('.qarepvgg-');
    await expectOldThenNew();
  });

  test('flushing the folder: the new file is there, but not said to be safe', async () => {
    const handle = await fileHandle();
    const flush = handle.sync;
    jest.spyOn(handle, 'sync').mockImplementationOnce(flush).mockRejectedValueOnce(refusal('EIO', -5));
    await expectRejection(writeSafetensors(file, filled(2)), 'ERR_INVALID_ARG', 'EIO');
    expect(await stored()).toEqual(filled(2).a.data);
  });

  test('a file larger than the system allows', async () => {
    const script = `require('./dist/formats/safetensors').writeSafetensors(process.argv[1], { a: { data: new Float32Array(1e6), dims: [1e6] } })
      .catch(({ code, message }) => console.log(code, message))`;
    const { stdout } = limited('ulimit -f 64', ['-e', script, file]);
    expect(stdout).toMatch(/^ERR_LIMIT .*received EFBIG \(file too large\)\n$/);
    await expectOldThenNew();
  });
});

/** Runs Node under a limit of the shell. */
function limited(limit: string, args: readonly string[]): SpawnSyncReturns<string> {
  return spawnSync('bash', ['-c', `${limit}; exec "$0" "$@"`, process.execPath, ...args], {
    cwd: root,
    encoding: 'utf8',
  });
}

describe('checked beforehand', () => {
  test('a path that can be written stays as it is, and nothing is left beside it', async () => {
    mkdirSync(at('before'));
    await within('checking', () => checkWritable(at('before/new'), 'safetensors'));
    expect(readdirSync(at('before'))).toEqual([]);
    writeFileSync(at('before/old'), 'old');
    await within('checking', () => checkWritable(at('before/old'), 'safetensors'));
    expect([readdirSync(at('before')), readFileSync(at('before/old'), 'utf8')]).toEqual([['old'], 'old']);
  });

  test('a folder that is missing, or not to be written, a folder as a file, and a wrong name', async () => {
    mkdirSync(at('locked'), { mode: 0o555 });
    const check = (name: string) => within('checking', () => checkWritable(at(name), 'safetensors'));
    await expectRejection(check('nowhere/file'), 'ERR_INVALID_ARG', 'ENOENT');
    await asNobody(() => expectRejection(check('locked/file'), 'ERR_INVALID_ARG', 'EACCES'));
    await expectRejection(check('locked'), 'ERR_INVALID_ARG', 'received a folder');
    await expectRejection(check('model.onnx'), 'ERR_INVALID_ARG', 'one for an ONNX file');
  });
});

describe('killed while it saves', () => {
  /** A megabyte each time: all of one value, which the metadata repeat. */
  const script = `
    const { writeSafetensors } = require('./dist/formats/safetensors');
    (async () => {
      for (let i = 1; ; i++) {
        await writeSafetensors(process.argv[1], { a: { data: new Float32Array(250_000).fill(i), dims: [250_000] } }, { i: String(i) });
        if (i === 1) process.stdout.write('saving');
      }
    })()`;

  test('60 times: the file is all of one version', async () => {
    const random = new Random(1);
    let interrupted = 0;
    for (let kill = 0; kill < 60; kill++) {
      const child = spawn(process.execPath, ['-e', script, file], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
      await once(child.stdout, 'data');
      await sleep(random.uniform(0, 30));
      child.kill('SIGKILL');
      await once(child, 'exit');
      const { tensors, metadata } = await readSafetensors(file);
      const version = Number(metadata.i);
      expect(tensors.a?.data.length).toBe(250_000);
      expect(tensors.a?.data.every((value) => value === version)).toBe(true);
      interrupted += left().length > 0 ? 1 : 0;
      for (const name of left()) rmSync(path.join(folder, name));
    }
    // Otherwise the kills have missed what they were for.
    expect(interrupted).toBeGreaterThan(10);
  });

  const left = () => readdirSync(folder).filter((name) => name !== 'model.safetensors');

  test('what it leaves is removed later, and nothing else is', async () => {
    const age = (name: string, seconds: number) => {
      writeFileSync(path.join(folder, name), 'x');
      utimesSync(path.join(folder, name), Date.now() / 1000, Date.now() / 1000 - seconds);
    };
    age('.qarepvgg-0123456789abcdef.tmp', 3700);
    age('.qarepvgg-0123456789abcdee.tmp', 3500);
    age('.qarepvgg-mine.tmp', 3700);
    mkdirSync(path.join(folder, '.qarepvgg-0123456789abcded.tmp'));
    utimesSync(path.join(folder, '.qarepvgg-0123456789abcded.tmp'), 1, 1);
    await writeSafetensors(file, filled(2));
    expect(left().sort()).toEqual([
      '.qarepvgg-0123456789abcded.tmp',
      '.qarepvgg-0123456789abcdee.tmp',
      '.qarepvgg-mine.tmp',
    ]);
  });
});

describe('what stays', () => {
  test('permissions', async () => {
    chmodSync(file, 0o640);
    await writeSafetensors(file, filled(2));
    expect(statSync(file).mode & 0o777).toBe(0o640);
  });

  test('a link, and the file it points to is the one that is written', async () => {
    const link = path.join(folder, 'latest');
    symlinkSync('model.safetensors', link);
    await writeSafetensors(link, filled(2));
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(await stored()).toEqual(filled(2).a.data);
  });

  test('one of many writers wins', async () => {
    const values = Array.from({ length: 20 }, (_, i) => i + 10);
    await Promise.all(values.map((value) => writeSafetensors(file, filled(value))));
    expect(values).toContain((await stored())?.[0]);
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
  });

  test('the old content, for whoever has the file open', async () => {
    const reader = await fs.open(file);
    const old = readFileSync(file);
    await writeSafetensors(file, filled(2, 1000));
    expect(Buffer.compare(await reader.readFile(), old)).toBe(0);
    await reader.close();
  });
});
