import { describeList, mismatch } from '../errors';
import { rank } from '../vision/ranking';
import { viewAs } from './datatypes';
import type { WireTensor } from './types';

/** The classification extension: [n, classes] as BYTES [n, count], texts 'value:index:label', largest value first. */
export function classify(output: WireTensor, count: number, labels: readonly string[] | undefined): WireTensor {
  if (output.shape.length !== 2) {
    throw mismatch(
      'ERR_SHAPE',
      `output ${output.name}, parameter classification`,
      'an output [n, classes]',
      describeList(output.shape),
    );
  }
  const [rows, classes] = output.shape as [number, number];
  const values = viewAs(output.datatype, output.bytes) as Float32Array;
  const texts = Array.from({ length: rows }, (_, row) =>
    rank(values.subarray(row * classes, (row + 1) * classes), count, labels),
  ).flat();
  const bytes = packTexts(
    texts.map(({ value, index, label }) => `${value}:${index}${label === undefined ? '' : `:${label}`}`),
  );
  return { name: output.name, datatype: 'BYTES', shape: [rows, Math.min(count, classes)], bytes };
}

/** Strings in the form of the binary extension: each follows its length in 4 bytes. */
function packTexts(texts: readonly string[]): Uint8Array {
  return Buffer.concat(
    texts.flatMap((text) => {
      const bytes = Buffer.from(text);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(bytes.length);
      return [length, bytes];
    }),
  );
}

/** The reverse of {@link packTexts}, for bytes of our own making. */
export function unpackTexts(packed: Uint8Array): string[] {
  const buffer = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  const texts: string[] = [];
  for (let offset = 0; offset < buffer.length; ) {
    const end = offset + 4 + buffer.readUInt32LE(offset);
    texts.push(buffer.toString('utf8', offset + 4, end));
    offset = end;
  }
  return texts;
}
