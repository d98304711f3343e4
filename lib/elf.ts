import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** ELF's numbers for the machines with prebuilt addons, by the names of `process.arch`. */
const machines: ReadonlyMap<number, string> = new Map([
  [62, 'x64'],
  [183, 'arm64'],
]);

/**
 * What is wrong with a shared library, where Linux' own loader does not say: for a library of another machine it reports that
 * there is no such file, and a truncated one, from a full disk for instance, ends the process with SIGBUS.
 *
 * @returns undefined where nothing is wrong, and for files other than 64-bit ELF, about which the loader tells more.
 */
export function libraryProblem(file: string): string | undefined {
  const header = Buffer.alloc(64);
  const descriptor = openSync(file, 'r');
  let size: number;
  try {
    readSync(descriptor, header, 0, header.length, 0);
    size = fstatSync(descriptor).size;
  } finally {
    closeSync(descriptor);
  }
  if (header.toString('latin1', 0, 6) !== '\x7fELF\x02\x01') return undefined; // of 64 bits, little-endian
  const machine = machines.get(header.readUInt16LE(18));
  // On machines that are not listed, the addon was built there: nothing is known about it.
  const known = [...machines.values()].includes(process.arch);
  if (known && machine !== process.arch) return `made for ${machine ?? 'another machine'}, not for ${process.arch}`;
  // The table of sections ends the file.
  const whole = Number(header.readBigUInt64LE(40)) + header.readUInt16LE(58) * header.readUInt16LE(60);
  return size < whole ? `cut off: ${size} bytes of ${whole}` : undefined;
}
