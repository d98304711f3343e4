/** Elements of BYTES: each is a length of four bytes, little-endian, and as many bytes. */
export function encodeStrings(strings: readonly (string | Uint8Array)[]): Buffer {
  const pieces = strings.flatMap((item) => {
    const bytes = typeof item === 'string' ? Buffer.from(item) : item;
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    return [length, bytes];
  });
  return Buffer.concat(pieces);
}

/** Views of the elements; undefined where `bytes` is not such a list. */
export function decodeStrings(bytes: Uint8Array): Uint8Array[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const strings: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (bytes.length - at < 4) return undefined;
    const end = at + 4 + view.getUint32(at, true);
    if (end > bytes.length) return undefined;
    strings.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return strings;
}
