/** The subnet that machines' addresses come from, and the choosing of a place in it. */
import { CenoteError } from '../../base/errors.ts';
import type { RequestContext } from '../../store/context.ts';
import { machineFreeAddress } from '../../store/machine.ts';
import type { Db } from '../../store/store.ts';

const parseAddress = (text: string): number | undefined => {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256)) return undefined;
  return parts.reduce((number, part) => number * 256 + Number(part), 0);
};

export class Subnet {
  readonly text: string;
  readonly size: number;
  readonly #base: number;
  readonly #gateway: number;

  constructor(subnet: string, gateway: string) {
    const [address = '', prefix = ''] = subnet.split('/');
    const base = parseAddress(address);
    const gatewayNumber = parseAddress(gateway);
    if (base === undefined || gatewayNumber === undefined || !/^\d{1,2}$/.test(prefix) || Number(prefix) > 30) {
      throw new CenoteError('internal', `the host reports a subnet that is none: ${subnet}, gateway ${gateway}`);
    }
    this.text = subnet;
    this.size = 2 ** (32 - Number(prefix));
    this.#base = base - (base % this.size);
    this.#gateway = gatewayNumber - this.#base;
  }

  addressAt(place: number): string {
    const number = this.#base + place;
    return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');
  }

  get gateway(): string {
    return this.addressAt(this.#gateway);
  }

  get netmask(): string {
    const ones = 2 ** 32 - this.size;
    return [24, 16, 8, 0].map((shift) => Math.floor(ones / 2 ** shift) % 256).join('.');
  }

  /** Null for an address outside. */
  placeOf(address: string): number | null {
    const number = parseAddress(address);
    const place = number === undefined ? -1 : number - this.#base;
    return place > 0 && place < this.size ? place : null;
  }

  /** The first and the last address name the network and everyone in it. */
  usable(place: number): boolean {
    return place > 0 && place < this.size - 1 && place !== this.#gateway;
  }
}

/**
 * Places are given in turn, and an address that was given back comes round last: what the network still remembers of its former owner
 * (open flows, others' caches) is gone by then. The store's unique column decides.
 */
export class AddressBook {
  #next = 1;

  /** Within the transaction that takes it. */
  async choose(context: RequestContext, db: Db, subnet: Subnet): Promise<number> {
    const start = this.#next;
    const place = (await this.#search(context, db, subnet, start)) ?? (start > 1 ? await this.#search(context, db, subnet, 1) : undefined);
    if (place === undefined) throw new CenoteError('not_enough', `out of addresses: all of ${subnet.text} are in use`);
    return place;
  }

  /** After the transaction that took it. */
  taken(place: number): void {
    this.#next = place + 1;
  }

  async #search(context: RequestContext, db: Db, subnet: Subnet, from: number): Promise<number | undefined> {
    let place = await machineFreeAddress(context, db, from);
    while (!subnet.usable(place) && place < subnet.size - 1) place = await machineFreeAddress(context, db, place + 1);
    return subnet.usable(place) ? place : undefined;
  }
}
