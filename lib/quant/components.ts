/** Connected components: a union-find structure. */
export class Components<T> {
  readonly #parents = new Map<T, T>();

  add(item: T): void {
    if (!this.#parents.has(item)) this.#parents.set(item, item);
  }

  /** The representative of the item's component. */
  find(item: T): T {
    this.add(item);
    let root = item;
    for (let next = this.#parents.get(root); next !== root; next = this.#parents.get(root)) root = next as T;
    // Shortens the path for the next call.
    for (let at = item; at !== root; ) {
      const next = this.#parents.get(at) as T;
      this.#parents.set(at, root);
      at = next;
    }
    return root;
  }

  join(a: T, b: T): void {
    // The representative of `a` represents both.
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
