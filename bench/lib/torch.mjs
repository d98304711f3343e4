import { spawnSync } from 'node:child_process';

/** A python3 that can import torch. */
export function findPython() {
  return ['python3', '/usr/bin/python3'].find((python) => spawnSync(python, ['-c', 'import torch']).status === 0);
}

export const noPython = 'no python3 with torch found (tried python3, /usr/bin/python3): nothing to compare with';

/** Lets glibc keep what PyTorch frees instead of paying for new pages in every step. */
export const keepMemory = { MALLOC_MMAP_THRESHOLD_: String(2 ** 30), MALLOC_TRIM_THRESHOLD_: String(2 ** 33) };
