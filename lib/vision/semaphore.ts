/** Limits work that runs at the same time: each piece takes units, and waits in turn until they are free. */
export class Semaphore {
  readonly #units: number;
  #free: number;
  readonly #waiting: { readonly units: number; readonly start: () => void }[] = [];

  constructor(units: number) {
    this.#units = units;
    this.#free = units;
  }

  /** Work that needs more units than there are runs alone. */
  async run<T>(units: number, work: () => Promise<T>): Promise<T> {
    const taken = Math.min(units, this.#units);
    await new Promise<void>((start) => {
      this.#waiting.push({ units: taken, start });
      this.#startNext();
    });
    try {
      return await work();
    } finally {
      this.#free += taken;
      this.#startNext();
    }
  }

  #startNext(): void {
    for (let next = this.#waiting[0]; next && next.units <= this.#free; next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#free -= next.units;
      next.start();
    }
  }
}
