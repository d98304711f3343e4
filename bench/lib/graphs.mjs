// Networks from ONNX files, our engine against others. Each side is a process of its own; they take turns.

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { importOnnx } from 'qarepvgg';
import { difference, median, readFloats } from './numbers.mjs';
import { Server } from './server.mjs';
import { compare, pauseMs, takeTurns } from './turns.mjs';
import { networkNamed } from './zoo.mjs';

/** Length of a turn, about. */
const turnMs = 300;

/** Rounding, magnified by a hundred layers; optimised onnxruntime is itself off by 1e-4 in places. */
const tolerance = 1e-3;

const here = join(import.meta.dirname, '..');

/** @type {Record<string, () => Server>} */
const starts = {
  qarepvgg: () => new Server(process.execPath, [join(here, 'graph-side.mjs'), 'qarepvgg']),
  onnxruntime: () => new Server(process.execPath, [join(here, 'graph-side.mjs'), 'onnxruntime']),
  opencv: () => new Server(python, [join(here, 'opencv_side.py')]),
};

/** Debian's packages belong to its own interpreter. */
const python = '/usr/bin/python3';

/** The version of OpenCV for Python; nothing if it is not installed. */
export function opencvVersion() {
  const { stdout, status } = spawnSync(python, ['-c', 'import cv2; print(cv2.__version__)'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

/**
 * Times, creation of sessions and peak memory of one network.
 *
 * @param {string} name @param {number} batch images, where their number is open @param {readonly number[]} threads @param {number} rounds
 * @param {readonly string[]} peers 'onnxruntime' and the like; each gives rows of its own @param {string} folder for files
 * @returns {Promise<import('./inference.mjs').Row[]>}
 */
export async function measureNetwork(name, batch, threads, rounds, peers, folder) {
  const { file, numbers, shapes } = networkNamed(name, folder);
  const inputs = Object.fromEntries(
    Object.entries(shapes[0]).map(([input, [n, ...dims]]) => [input, [batch === 1 ? Number(n) : batch, ...dims]]),
  );
  const model = /** @type {import('qarepvgg').Model} */ (await importOnnx(file));
  const { macs } = model.summary({ inputs });
  const feeds = Object.entries(inputs).map(([input, dims], i) => {
    const path = join(folder, `feed-${i}`);
    writeFileSync(path, numbers(dims));
    return { name: input, dims, file: path };
  });
  const rows = [];
  for (const peer of peers) {
    for (const count of threads) {
      /** @type {number[][][]} */
      const creations = [[], []];
      /** @type {number[][][]} */
      const memories = [[], []];
      const labels = [{ label: 'auto' }, { label: peer }];
      const row = await withSides(['qarepvgg', peer], async (sides) => {
        const outputs = [];
        for (const [i, server] of sides.entries()) {
          await ask(server, { do: 'create', file, threads: count, inputs });
          await ask(server, { do: 'load', feeds });
          const output = join(folder, `output-${i}`);
          await ask(server, { do: 'check', output });
          outputs.push(readFloats(output));
        }
        const [ours, theirs] = /** @type {[Float32Array, Float32Array]} */ (outputs);
        const distance = ours.length === theirs.length ? difference(ours, theirs) : Number.POSITIVE_INFINITY;
        if (!(distance <= tolerance)) throw new Error(`${name}, ${peer}: relative L2 difference ${distance}`);
        /** @type {Map<Server, number>} */
        const runs = new Map();
        /** @type {number[]} */
        const peaks = [];
        const results = await takeTurns(sides, rounds, async (server) => {
          if (server === sides[0]) peaks.push((await ask(server, { do: 'peak', threads: count })).gigaops);
          const { ms } = await ask(server, { do: 'time', runs: runs.get(server) ?? 2 });
          if (!runs.has(server)) runs.set(server, Math.max(1, Math.round(turnMs / Math.min(...ms))));
          return ms.map((/** @type {number} */ time) => time / batch);
        });
        const setting = { threads: count, batch, macs: macs / batch, peak: median(peaks) };
        return { what: `${name} / ${peer}`, unit: 'ms per image', ...setting, ...compare(labels, results) };
      });
      rows.push(row);
      if (count !== threads[0]) continue;
      for (let round = 0; round < 3; round++) {
        await withSides(['qarepvgg', peer], async (sides) => {
          for (const [i, server] of sides.entries()) {
            await sleep(pauseMs);
            creations[i]?.push([(await ask(server, { do: 'create', file, threads: count, inputs })).ms]);
            await ask(server, { do: 'load', feeds });
            await ask(server, { do: 'time', runs: 3 });
            memories[i]?.push([(await ask(server, { do: 'memory' })).peakMiB]);
          }
        });
      }
      const setting = { threads: count, batch };
      rows.push({ what: `${name} / ${peer}: session`, unit: 'ms', ...setting, ...compare(labels, creations) });
      rows.push({ what: `${name} / ${peer}: peak memory`, unit: 'MiB', ...setting, ...compare(labels, memories) });
    }
  }
  return rows;
}

/** @param {Server} server @param {Record<string, unknown>} request */
async function ask(server, request) {
  const reply = await server.ask(request);
  if (reply.error) throw new Error(reply.error);
  return reply;
}

/** @template T @param {readonly string[]} engines @param {(sides: readonly Server[]) => Promise<T>} use */
async function withSides(engines, use) {
  const sides = engines.map((engine) => /** @type {() => Server} */ (starts[engine])());
  try {
    return await use(sides);
  } finally {
    for (const server of sides) server.close();
  }
}
