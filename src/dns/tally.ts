/** Counts what is under way, for each and in all, and says when there is room for no more. */
export class Tally {
  readonly #limit: number;
  readonly #limitEach: number;
  readonly #each = new Map<string, number>();
  #all = 0;

  constructor(limit: number, limitEach: number) {
    this.#limit = limit;
    this.#limitEach = limitEach;
  }

  enter(who: string): boolean {
    const count = this.#each.get(who) ?? 0;
    if (this.#all >= this.#limit || count >= this.#limitEach) return false;
    this.#all++;
    this.#each.set(who, count + 1);
    return true;
  }

  leave(who: string): void {
    const count = this.#each.get(who) ?? 0;
    if (count === 0) return;
    this.#all--;
    if (count === 1) this.#each.delete(who);
    else this.#each.set(who, count - 1);
  }
}
