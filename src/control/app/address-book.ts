/**
 * The choosing of an address in a network. Places are given in turn, and one that was given back comes round last: what the network still
 * remembers of its former owner (open flows, others' caches) is gone by then. The store's key decides.
 */
import { CenoteError, invalid } from '../../base/errors.ts';
import { addressAt, placeOf } from '../../model/subnet.ts';
import { subnetOf } from '../../model/network.ts';
import { externalNetwork } from '../../model/nics.ts';
import { addressFree, addressGet } from '../../store/address.ts';
import type { RequestContext } from '../../store/context.ts';
import type { StoredNetwork } from '../../store/network.ts';
import type { Db } from '../../store/store.ts';

export class AddressBook {
  readonly #next = new Map<string, number>();

  /** Within the transaction that takes it. */
  async choose(context: RequestContext, db: Db, network: StoredNetwork): Promise<string> {
    const place = await this.#find(context, db, network);
    if (place === undefined) throw exhausted(network);
    this.#next.set(network.id, place + 1);
    return addressAt(subnetOf(network), place);
  }

  async hasFree(context: RequestContext, db: Db, network: StoredNetwork): Promise<boolean> {
    return (await this.#find(context, db, network)) !== undefined;
  }

  async #find(context: RequestContext, db: Db, network: StoredNetwork): Promise<number | undefined> {
    const { id, rangeFirst } = network;
    const start = Math.max(this.#next.get(id) ?? rangeFirst, rangeFirst);
    return (await this.#search(context, db, network, start)) ?? (start > rangeFirst ? await this.#search(context, db, network, rangeFirst) : undefined);
  }

  async #search(context: RequestContext, db: Db, network: StoredNetwork, from: number): Promise<number | undefined> {
    const { id, rangeLast, gateway } = network;
    const gatewayPlace = gateway === null ? null : placeOf(subnetOf(network), gateway);
    let place = await addressFree(context, db, id, from);
    if (place === gatewayPlace) place = await addressFree(context, db, id, place + 1);
    return place <= rangeLast ? place : undefined;
  }
}

const exhausted = (network: StoredNetwork): CenoteError => {
  const subnet = subnetOf(network);
  const [first, last] = [addressAt(subnet, network.rangeFirst), addressAt(subnet, network.rangeLast)];
  const message = `out of addresses: all ${network.rangeLast - network.rangeFirst + 1} of network ${JSON.stringify(network.name)}, ${first} to ${last}, are in use`;
  const advice = network.account === null ? undefined : 'widen its range, or delete machines that are on it';
  return new CenoteError(network.id === externalNetwork ? 'not_enough' : 'in_use', message, { fields: [{ field: 'networks', message }], advice });
};

/** One that was asked for: it may be reserved, or outside the range, but nobody else's. */
export const demandAddress = async (context: RequestContext, db: Db, network: StoredNetwork, address: string): Promise<void> => {
  const subnet = subnetOf(network);
  const place = placeOf(subnet, address);
  const within = place !== null && place > 0 && place < subnet.size - 1;
  if (!within) throw invalid('networks', `${address} is not an address for machines in ${network.subnet}`);
  if (address === network.gateway) throw invalid('networks', `${address} is the gateway of network ${JSON.stringify(network.name)}`);
  const held = await addressGet(context, db, network.id, place);
  const isKept = held?.reserved === 1 && network.account === null && context.role === 'account';
  if (held === undefined || ((held.machine ?? held.uplink_of ?? held.account) === null && !isKept)) return;
  const message = `${address} of network ${JSON.stringify(network.name)} is ${isKept ? 'reserved by the operator' : 'in use'}`;
  throw new CenoteError('in_use', message, { fields: [{ field: 'networks', message }] });
};
