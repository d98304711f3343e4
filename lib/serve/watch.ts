import { stat } from 'node:fs/promises';
import type { ModelRegistry } from './models';

const interval = 1000;

/**
 * Loads a model again when one of its files is replaced: when it has another time, size or inode than before and the same
 * as a second ago, so that no half-written file is read. Returns a function that stops the watch.
 */
export function watchFiles(registry: ModelRegistry, report: (name: string, error?: unknown) => void): () => void {
  const served = new Map<string, string>();
  const seen = new Map<string, string>();
  let isOver = false;

  const look = async (): Promise<void> => {
    const changed = new Set<string>();
    for (const { name, path } of await registry.files()) {
      const state = await stateOf(path);
      if (state === undefined) continue;
      const known = served.get(path);
      if (known === undefined) served.set(path, state);
      else if (known !== state && seen.get(path) === state) {
        served.set(path, state);
        changed.add(name);
      }
      seen.set(path, state);
    }
    for (const name of changed) {
      try {
        await registry.load(name);
        report(name);
      } catch (error) {
        report(name, error);
      }
    }
  };

  const again = (): void => {
    if (isOver) return;
    timer = setTimeout(
      () =>
        look()
          .catch((error: unknown) => report('', error))
          .finally(again),
      interval,
    );
    timer.unref();
  };
  let timer: NodeJS.Timeout;
  void look()
    .catch((error: unknown) => report('', error))
    .finally(again);
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}

/** Changes whenever the file does; undefined while there is none. */
async function stateOf(path: string): Promise<string | undefined> {
  try {
    const { mtimeMs, size, ino } = await stat(path);
    return `${mtimeMs} ${size} ${ino}`;
  } catch {
    return undefined;
  }
}
