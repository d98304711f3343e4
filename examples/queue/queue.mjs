// What worker and producer agree on.

export const queueName = 'classify';

/** Waits for a Redis that is away, rather than fail. @param {string} [url] */
export function connectionTo(url = 'redis://127.0.0.1:6379') {
  return { url, maxRetriesPerRequest: null };
}

/** @param {Uint8Array} bytes */
export function toBase64(bytes) {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/** @param {string} text */
export function fromBase64(text) {
  return Uint8Array.from(Buffer.from(text, 'base64'));
}
