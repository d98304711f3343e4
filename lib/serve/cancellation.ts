/**
 * Says that nobody waits for an answer any more. Every request has one: an AbortSignal would be half of the cost of a small
 * request.
 */
export class Cancellation {
  #isCancelled = false;
  /** Called once when the request is cancelled later; there is one listener at a time. */
  onCancel: (() => void) | undefined;

  get isCancelled(): boolean {
    return this.#isCancelled;
  }

  cancel(): void {
    if (this.#isCancelled) return;
    this.#isCancelled = true;
    this.onCancel?.();
  }
}
