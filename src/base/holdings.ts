/** Who holds each key, and what each holder holds: neither question looks at more than its answer. */
export class Holdings<Key, Holder> {
  readonly #holders = new Map<Key, Holder>();
  readonly #keys = new Map<Holder, Set<Key>>();

  holderOf(key: Key): Holder | undefined {
    return this.#holders.get(key);
  }

  heldBy(holder: Holder): Key[] {
    return [...(this.#keys.get(holder) ?? [])];
  }

  /** From whoever had it; undefined: nobody's. */
  give(key: Key, holder: Holder | undefined): void {
    this.#takeBack(key);
    if (holder === undefined) return;
    this.#holders.set(key, holder);
    const keys = this.#keys.get(holder);
    if (keys === undefined) this.#keys.set(holder, new Set([key]));
    else keys.add(key);
  }

  clear(): void {
    this.#holders.clear();
    this.#keys.clear();
  }

  #takeBack(key: Key): void {
    const former = this.#holders.get(key);
    if (former === undefined) return;
    this.#holders.delete(key);
    const keys = this.#keys.get(former)!;
    keys.delete(key);
    if (keys.size === 0) this.#keys.delete(former);
  }
}
