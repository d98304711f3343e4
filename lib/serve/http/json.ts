import { isUtf8 } from 'node:buffer';
import { mismatch } from '../../errors';

/** Nesting of arrays and objects, as deep as a tensor may have dims. */
const maxDepth = 32;
/** Arrays and objects in total; numbers in flat or nested tensors are not counted. */
const maxNodes = 2 ** 20;

const [quote, backslash, openBracket, closeBracket, openBrace, closeBrace] = [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d];

/**
 * Parses JSON of bounded depth and size. The bounds are checked first: objects take many times the memory of the text.
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG
 */
export function parseJson(bytes: Buffer): unknown {
  // Decoding would replace what it cannot read.
  if (!isUtf8(bytes)) throw mismatch('ERR_INVALID_ARG', 'JSON in UTF-8', 'bytes of another encoding');
  checkDepth(bytes);
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    throw mismatch('ERR_INVALID_ARG', 'JSON', 'text that is not valid JSON');
  }
}

function checkDepth(bytes: Uint8Array): void {
  let [depth, nodes] = [0, 0];
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] as number;
    if (byte === quote) {
      for (i++; i < bytes.length && bytes[i] !== quote; i++) if (bytes[i] === backslash) i++;
    } else if (byte === openBracket || byte === openBrace) {
      nodes++;
      if (++depth > maxDepth) throw mismatch('ERR_INVALID_ARG', `JSON nested up to ${maxDepth} deep`, 'deeper');
      if (nodes > maxNodes) throw mismatch('ERR_INVALID_ARG', `up to ${maxNodes} arrays and objects`, 'more');
    } else if (byte === closeBracket || byte === closeBrace) {
      depth--;
    }
  }
}
