/** What is on a network now, by link and by address: whoever asks for an address must not have all the others looked at. */
import { furtherOf } from './attachment.ts';
import type { Attachment } from './attachment.ts';

export class Attachments {
  readonly #bySlot = new Map<number, Attachment>();
  readonly #slots = new Map<string, number>();

  get(slot: number): Attachment | undefined {
    return this.#bySlot.get(slot);
  }

  has(slot: number): boolean {
    return this.#bySlot.has(slot);
  }

  values(): Iterable<Attachment> {
    return this.#bySlot.values();
  }

  /** Whether some link leads to it, as its own address or a further one. */
  leadsTo(address: string): boolean {
    return this.#slots.has(address);
  }

  set(slot: number, attachment: Attachment): void {
    this.delete(slot);
    this.#bySlot.set(slot, attachment);
    for (const address of addressesAt(attachment)) this.#slots.set(address, slot);
  }

  delete(slot: number): void {
    const former = this.#bySlot.get(slot);
    if (former === undefined) return;
    this.#bySlot.delete(slot);
    // Another may have taken it over in the same exchange.
    for (const address of addressesAt(former)) if (this.#slots.get(address) === slot) this.#slots.delete(address);
  }

  clear(): void {
    this.#bySlot.clear();
    this.#slots.clear();
  }
}

const addressesAt = (attachment: Attachment): string[] => [attachment.address, ...furtherOf(attachment)];
