// Requests that several sides answer alike.

import { readFileSync } from 'node:fs';

/** @param {{ precision: 'float32' | 'int8', threads: number }} request */
export async function peak({ precision, threads }) {
  const { addon } = await import('../../dist/binding.js');
  return { gigaops: addon.peakRate(precision, threads) / 1e9 };
}

export function memory() {
  const [, kibibytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return { peakMiB: Number(kibibytes) / 1024 };
}
