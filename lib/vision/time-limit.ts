import { mismatch, type QARepVGGError } from '../errors';

/** Rejects when work takes too long; it cannot end the work itself. */
export class TimeLimit {
  readonly expired: Promise<never>;
  #expire: (error: QARepVGGError) => void = () => undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor() {
    this.expired = new Promise((_, reject) => {
      this.#expire = reject;
    });
  }

  start(milliseconds: number): void {
    const expected = `an image that takes at most ${milliseconds} ms to decode (option timeout)`;
    this.#timer = setTimeout(
      () => this.#expire(mismatch('ERR_LIMIT', expected, 'one that takes longer')),
      milliseconds,
    );
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
