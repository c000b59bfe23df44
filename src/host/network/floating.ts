/**
 * Floating addresses on this host: whose each is, and where it is in the kernel now. An address is translated to its machine's own on the
 * machine's primary network, and led to on the external one by the link of the machine, or of that network's router. It goes from one machine
 * to another in an order in which it is at least one's at any time: who gets it is able before it is led there, and who had it loses it last.
 */
import { Holdings } from '../../base/holdings.ts';
import { SerialQueue } from '../../base/serial-queue.ts';
import { externalNetwork } from '../../model/nics.ts';
import { floatingFurther } from './attachment.ts';
import type { Routers } from './routers.ts';
import type { Segment } from './segment.ts';

/** Where a connected machine has its primary NIC. */
export interface FloatingPlace {
  slot: number;
  machine: string;
  network: string;
}

export interface FloatingOptions {
  host: Segment;
  routers: Routers;
  /** Undefined: it is not connected. */
  placeOf: (machine: string) => FloatingPlace | undefined;
}

const mostWaiting = 100_000;

export class Floating {
  readonly #options: FloatingOptions;
  /** Addresses of machines: each start and stop asks for those of one, however many there are. */
  readonly #machines = new Holdings<string, string>();
  /** Addresses where they are now, and by the slots that they are at. */
  readonly #places = new Map<string, FloatingPlace>();
  readonly #slots = new Holdings<string, number>();
  readonly #queue = new SerialQueue(mostWaiting);

  constructor(options: FloatingOptions) {
    this.#options = options;
  }

  /** In force when it resolves, where the machine is connected; else when it is. */
  async set(address: string, machine: string | null): Promise<void> {
    this.#machines.give(address, machine ?? undefined);
    await this.#queue.run(() => this.#apply(address));
  }

  of(machine: string): string[] {
    return this.#machines.heldBy(machine);
  }

  /** Of one that is connected from now on, or whose primary NIC is another. */
  async settle(machine: string): Promise<void> {
    for (const address of this.of(machine)) await this.#queue.run(() => this.#apply(address));
  }

  /** Of one that is not any more, before its links go. */
  async leave(slot: number): Promise<void> {
    for (const address of this.#slots.heldBy(slot)) await this.#queue.run(() => this.#apply(address));
  }

  /** After an agent restart: so it is in the kernel. */
  restore(places: readonly FloatingPlace[]): void {
    this.#places.clear();
    this.#slots.clear();
    for (const place of places) for (const address of this.of(place.machine)) this.#put(address, place);
  }

  #put(address: string, place: FloatingPlace | undefined): void {
    if (place === undefined) this.#places.delete(address);
    else this.#places.set(address, place);
    this.#slots.give(address, place?.slot);
  }

  async #apply(address: string): Promise<void> {
    const machine = this.#machines.holderOf(address);
    await this.#move(address, machine === undefined ? undefined : this.#options.placeOf(machine));
  }

  async #move(address: string, to: FloatingPlace | undefined): Promise<void> {
    const from = this.#places.get(address);
    if (from?.slot === to?.slot && from?.network === to?.network) return;
    const [leading, led] = [await this.#linkOf(from), await this.#linkOf(to)];
    const isOneNetwork = from !== undefined && from.network === to?.network;
    await using undo = new AsyncDisposableStack();
    if (to !== undefined) {
      await this.#translate(to.network, address, isOneNetwork ? from.slot : null, to.slot);
      undo.defer(() => this.#translate(to.network, address, to.slot, isOneNetwork ? from.slot : null));
    }
    if (leading !== led) await this.#options.host.connections.moveFurther(floatingFurther((to ?? from)!.machine, address), leading, led);
    undo.move();
    if (from !== undefined && !isOneNetwork) await this.#translate(from.network, address, from.slot, null);
    this.#put(address, to);
  }

  #translate(network: string, address: string, from: number | null, to: number | null): Promise<void> {
    const { host, routers } = this.#options;
    return network === externalNetwork ? host.connections.moveFloating(address, from, to) : routers.moveFloating(network, address, from, to);
  }

  async #linkOf(place: FloatingPlace | undefined): Promise<number | null> {
    if (place === undefined) return null;
    return place.network === externalNetwork ? place.slot : this.#options.routers.uplinkSlot(place.network);
  }
}
