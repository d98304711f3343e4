/**
 * Makes `structuredClone` and `postMessage` refuse an object whose clone would be empty, because its state lies in native memory
 * or in private fields.
 */
export function refuseClones(object: object): void {
  // Functions cannot be cloned. Node 20 has no worker_threads.markAsUncloneable.
  Object.defineProperty(object, 'toJSON', { value: describeObject, enumerable: true });
}

/** What `JSON.stringify` writes for such an object. */
function describeObject(this: object): string {
  return String(this);
}
