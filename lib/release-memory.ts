import { addon } from './binding';

/**
 * Frees the memory of a buffer at once, and leaves the buffer empty. The garbage collector would do so later, but marks the whole
 * heap for every few megabytes that come and go outside of it.
 *
 * @internal
 */
export function releaseMemory(buffer: ArrayBuffer): void {
  addon.releaseMemory(buffer);
}
