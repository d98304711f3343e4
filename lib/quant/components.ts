/** Things that hang together. */
export class Components<T> {
  readonly #parents = new Map<T, T>();

  add(item: T): void {
    if (!this.#parents.has(item)) this.#parents.set(item, item);
  }

  /** The one that stands for all that an item hangs together with. */
  find(item: T): T {
    this.add(item);
    let root = item;
    for (let next = this.#parents.get(root); next !== root; next = this.#parents.get(root)) root = next as T;
    // The next time it is found at once.
    for (let at = item; at !== root; ) {
      const next = this.#parents.get(at) as T;
      this.#parents.set(at, root);
      at = next;
    }
    return root;
  }

  join(a: T, b: T): void {
    // The one that came first stands for both.
    this.#parents.set(this.find(b), this.find(a));
  }

  groups(): T[][] {
    const groups = new Map<T, T[]>();
    for (const item of this.#parents.keys()) {
      const root = this.find(item);
      const group = groups.get(root);
      if (group) group.push(item);
      else groups.set(root, [item]);
    }
    return [...groups.values()];
  }
}
