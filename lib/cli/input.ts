import type { FileFormat } from '../formats/file-format';
import { recognize } from '../formats/file-format';
import { withFile } from '../formats/files';
import type { FileSource } from '../formats/sources';

/** The file that an argument names: standard input for "-", which is read to its end. */
export async function inputFile(name: string): Promise<string | Uint8Array> {
  if (name !== '-') return name;
  const chunks: Uint8Array[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

/** Those names of inputs that are files: no output may replace one. */
export function filesOf(...names: readonly (string | undefined)[]): string[] {
  return names.filter((name) => name !== undefined && name !== '-') as string[];
}

/** The format of a file by its first bytes. */
export function formatIn(source: FileSource): Promise<FileFormat | 'PyTorch' | undefined> {
  return withFile(source, async (file) => recognize(await file.read(Math.min(8, file.size))));
}
