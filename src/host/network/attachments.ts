/** What is on a network now, by link and by address: whoever asks for an address must not have all the others looked at. */
import { Holdings } from '../../base/holdings.ts';
import { furtherOf } from './attachment.ts';
import type { Attachment } from './attachment.ts';

export class Attachments {
  readonly #bySlot = new Map<number, Attachment>();
  readonly #addresses = new Holdings<string, number>();

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
    return this.#addresses.holderOf(address) !== undefined;
  }

  set(slot: number, attachment: Attachment): void {
    this.delete(slot);
    this.#bySlot.set(slot, attachment);
    for (const address of [attachment.address, ...furtherOf(attachment)]) this.#addresses.give(address, slot);
  }

  /** Addresses that another has taken over in the same exchange stay that one's. */
  delete(slot: number): void {
    this.#bySlot.delete(slot);
    for (const address of this.#addresses.heldBy(slot)) this.#addresses.give(address, undefined);
  }

  clear(): void {
    this.#bySlot.clear();
    this.#addresses.clear();
  }
}
