import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Writable } from 'node:stream';
import { type EpochProgress, loadModel, type Network, type StepProgress } from '../../lib';
import { TrainingProgress } from '../../lib/cli/progress';
import { readSafetensors } from '../../lib/formats/safetensors';
import { root, runNode } from '../support/child';
import { bits } from '../support/compare';
import { temporaryFolder } from '../support/formats';

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);
const run = (...args: string[]) => runNode(['dist/cli/index.js', ...args]);
const small = ['--blocks', '1,1,1,1', '--channels', '8,8,16,24,32', '--strides', '1,2,2,2,1', '--batch-size', '64'];
const images = 'examples/data/fashion-mnist';

describe('train', () => {
  test('a line for every epoch, and a model file with all that belongs to it', async () => {
    const out = file('out.safetensors');
    const { stdout, stderr, status } = run(
      'train',
      images,
      ...small,
      '--epochs',
      '2',
      '--mean',
      '0.3',
      '--std',
      '0.4',
      '--out',
      out,
    );
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    expect(stdout).toContain(
      '\n512 images of 28 x 28 to train on, 10 classes of 51 to 52:\n  T-shirt/top 52, Trouser 52,',
    );
    expect(stdout).toContain('\n1,000 to judge on, 10 classes of 100\n');
    const said = stdout.split('\n').slice(0, -2); // the last line names the file
    expect(Math.max(...said.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(stdout).toMatch(/\nepoch 2\/2 {2}loss \d\.\d{4} \d+\.\d\d % {2}validation \d+\.\d{4} \d+\.\d\d % {2}lr /);
    const model = await loadModel<Network>(out);
    expect(model.options).toMatchObject({ numClasses: 10, inChannels: 1, inputSize: 28, channels: [8, 8, 16, 24, 32] });
    expect(model.options.labels?.[9]).toBe('Ankle boot');
    expect(model.options.preprocessing).toEqual({ mean: [0.3], std: [0.4], crop: 1 });
  });

  test('the same command gives the same bits; lines of JSON', async () => {
    const args = [
      'train',
      images,
      ...small,
      '--epochs',
      '1',
      '--flip',
      '--shift',
      '2',
      '--optimizer',
      'adamw',
      '--json',
    ];
    const [one, two] = [run(...args, '--out', file('one')), run(...args, '--out', file('two'), '--threads', '1')];
    const events = one.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
    expect(events).toMatchObject([
      { kind: 'data', train: { images: 512, classes: { Trouser: 52 }, skipped: [], others: [] }, unused: [] },
      { kind: 'epoch', epoch: 1, epochs: 1, step: 8, steps: 8 },
    ]);
    expect(two.status).toBe(0);
    expect((await loadModel<Network>(file('one'))).stateDict()).toEqual(
      (await loadModel<Network>(file('two'))).stateDict(),
    );
  });

  test.each([
    ['SIGINT', 1],
    ['SIGTERM', 143],
  ] as const)('stopped by %s, it resumes where it was and ends with the same bits', async (signal, code) => {
    const args = ['dist/cli/index.js', 'train', images, ...small, '--epochs', '4', '--json', '--flip', '--seed', '3'];
    const name = (kind: string): string => file(`${kind}-${signal}`);
    const stopped = [...args, '--checkpoint', name('run'), '--out', name('stopped')];
    const child = spawn(process.execPath, stopped, { cwd: root });
    child.stdout.on('data', (chunk: Buffer) => `${chunk}`.includes('"epoch"') && child.kill(signal));
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk;
    });
    const status = await new Promise((resolve) => child.once('close', resolve));
    expect(status).toBe(code);
    expect(errors).toMatch(/^stopped after step \d+; continue with --resume\n$/);
    expect(existsSync(name('stopped'))).toBe(false);
    expect(runNode([...stopped, '--resume']).status).toBe(0);
    expect(runNode([...args, '--out', name('whole')]).status).toBe(0);
    expect((await loadModel<Network>(name('stopped'))).stateDict()).toEqual(
      (await loadModel<Network>(name('whole'))).stateDict(),
    );
  });

  test('stopped on a terminal, the bar goes before it says so: it takes its line with it', async () => {
    writeFileSync(file('terminal.cjs'), 'Object.assign(process.stderr, { isTTY: true, columns: 120 });');
    const args = ['-r', file('terminal.cjs'), 'dist/cli/index.js', 'train', images, ...small, '--epochs', '40'];
    const child = spawn(process.execPath, [...args, '--out', file('never')], { cwd: root });
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk;
    });
    child.stderr.once('data', () => child.kill('SIGINT'));
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(1);
    expect(errors).toMatch(/stopped after step \d+; nothing is kept\n$/);
  });

  test('of a training that is through, it says so, and writes the model all the same', async () => {
    const args = ['train', images, ...small, '--epochs', '1', '--json', '--checkpoint', file('through')];
    expect(run(...args, '--out', file('first')).stderr).toBe('');
    const { stdout, stderr, status } = run(...args, '--resume', '--out', file('second'));
    expect({ stdout, status }).toEqual({ stdout: expect.stringMatching(/^\{"kind":"data".*\n$/), status: 0 });
    expect(stderr).toMatch(
      /^nothing left to do: .*through has reached --epochs 1 \(step 8\); raise --epochs to continue\n$/,
    );
    expect(readFileSync(file('second'))).toEqual(readFileSync(file('first')));
  });

  test('the custom L2, and where the rate falls', async () => {
    const train = async (name: string, ...more: string[]) => {
      const out = file(name);
      const args = ['--model', 'repvgg_a0', ...small, '--epochs', '4', '--weight-decay', '0.1', '--json', '--out', out];
      const { stdout, status } = run('train', images, ...args, ...more);
      expect(status).toBe(0);
      const rates = stdout
        .trim()
        .split('\n')
        .slice(1)
        .map((line): number => JSON.parse(line).learningRate);
      return { rates, tensors: Object.values((await readSafetensors(out)).tensors) };
    };
    const plain = await train('plain');
    const custom = await train('custom', '--custom-l2');
    expect(bits(...custom.tensors)).not.toBe(bits(...plain.tensors));
    expect(bits(...(await train('S0', '--variant', 'S0')).tensors)).toBe(bits(...custom.tensors));
    const step = ['--schedule', 'step', '--milestones', '0.25,0.75', '--gamma', '0.5', '--warmup', '0'];
    expect((await train('step', ...step)).rates).toEqual([0.1, 0.05, 0.05, 0.025]);
  });

  test('folders of images of two classes, to train on and to judge on', async () => {
    for (const [split, count] of Object.entries({ train: 4, val: 2 })) {
      for (const [label, name] of ['dark', 'light'].entries()) {
        mkdirSync(file(`photos/${split}/${name}`), { recursive: true });
        for (let i = 0; i < count; i++) {
          const pixels = Buffer.alloc(3 * 12 * 12, 40 + 160 * label + i);
          writeFileSync(
            file(`photos/${split}/${name}/${i}.ppm`),
            Buffer.concat([Buffer.from('P6\n12 12\n255\n'), pixels]),
          );
        }
      }
    }
    const args = [file('photos'), ...small, '--batch-size', '4', '--epochs', '2', '--out', file('photos.safetensors')];
    const { stdout, status } = run('train', ...args);
    expect(status).toBe(0);
    expect(stdout).toContain(
      '8 images of 12 x 12 to train on, 2 classes of 4:\n  dark 4, light 4\n4 to judge on, 2 classes of 2\n',
    );
    const few = ['--blocks', '1,1,1,1', '--channels', '8,8,16,24,32', '--strides', '1,2,2,2,1', '--epochs', '1'];
    const fewest = run('train', file('photos'), ...few, '--out', file('few.safetensors')); // fewer than the usual 64 a step
    expect({ stderr: fewest.stderr, status: fewest.status }).toEqual({ stderr: '', status: 0 });
    const { options } = await loadModel<Network>(file('photos.safetensors'));
    expect(options).toMatchObject({ numClasses: 2, inChannels: 3, inputSize: 12, labels: ['dark', 'light'] });
    expect(run('train', ...args, '--validation', file('photos/val')).stdout).toContain('4 to judge on');

    // A folder that lacks a class does not number the others anew.
    rmSync(file('photos/val/dark'), { recursive: true });
    const last = (...more: string[]) =>
      JSON.parse(
        run('train', ...args, '--epochs', '8', '--json', ...more)
          .stdout.trim()
          .split('\n')
          .at(-1) as string,
      );
    const judged = last().validation;
    expect(judged.accuracy).toBe(1);
    expect(last('--validation', file('photos/val')).validation).toEqual(judged);
    const named = run('train', ...args, '--labels', 'light,dark,other');
    expect(named.status).toBe(0);
    const { numClasses, labels } = (await loadModel<Network>(file('photos.safetensors'))).options;
    expect({ numClasses, labels }).toEqual({ numClasses: 3, labels: ['light', 'dark', 'other'] });
  });

  test('a folder that is not there: one line', () => {
    const { stdout, stderr, status } = run('train', 'nowhere', '--epochs', '1', '--out', file('never'));
    expect({ stdout, status }).toEqual({ stdout: '', status: 1 });
    expect(stderr).toMatch(/^error: .*ENOENT.*\n$/);
    expect(readdirSync(folder)).not.toContain('never');
  });
});

describe('the bar', () => {
  const running = {
    epoch: 2,
    epochs: 3,
    step: 15,
    steps: 30,
    loss: 1.25,
    accuracy: 0.5,
    learningRate: 0.1,
    imagesPerSecond: 1234,
  };
  const step: StepProgress = { kind: 'step', ...running, secondsLeft: 3725 };
  const epoch: EpochProgress = { kind: 'epoch', ...running, seconds: 61, validation: { loss: 1, accuracy: 0.75 } };

  function show(json: boolean, isTTY: boolean): { terminal: string; lines: string } {
    let [terminal, lines] = ['', ''];
    const write = (chunk: Buffer, _: unknown, done: () => void): void => {
      terminal += chunk;
      done();
    };
    const stream = Object.assign(new Writable({ write }), { isTTY, columns: 120 }) as unknown as NodeJS.WriteStream;
    const spy = jest.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
      lines += chunk;
      return true;
    });
    const progress = new TrainingProgress(json, stream);
    for (const event of [step, step, epoch]) progress.show(event);
    progress.stop();
    spy.mockRestore();
    return { terminal, lines };
  }

  test('is for terminals', () => {
    const { terminal, lines } = show(false, true);
    expect(terminal).toContain('epoch 2/3 [');
    expect(terminal).toContain('50%  1,234 images/s  1:02:05 left  loss 1.250 50.00 %');
    expect(lines).toBe('epoch 2/3  loss 1.2500 50.00 %  validation 1.0000 75.00 %  lr 0.100  1:01\n');
  });

  test('and not for files and machines', () => {
    expect(show(false, false)).toEqual({ terminal: '', lines: expect.stringContaining('epoch 2/3  loss') });
    const { terminal, lines } = show(true, true);
    expect({ terminal, event: JSON.parse(lines) }).toEqual({ terminal: '', event: epoch });
  });
});
