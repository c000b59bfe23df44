/** What is refused of any network: an address that is not of it, one that overlaps, a name that there is. */
import { CenoteError, invalid } from '../../base/errors.ts';
import { subnetOf } from '../../model/network.ts';
import { addressAt, overlaps, placeOf } from '../../model/subnet.ts';
import type { Subnet } from '../../model/subnet.ts';
import type { StoredNetwork } from '../../store/network.ts';

/** As a place. */
export const demandWithin = (field: string, subnet: Subnet, address: string): number => {
  const place = placeOf(subnet, address);
  if (place === null || place === 0 || place === subnet.size - 1)
    throw invalid(field, `${address} is not between ${addressAt(subnet, 1)} and ${addressAt(subnet, subnet.size - 2)}, the addresses of ${subnet.cidr}`);
  return place;
};

export const refuseOverlap = (subnet: Subnet, cidr: string, others: readonly StoredNetwork[]): void => {
  const other = others.find((one) => overlaps(subnetOf(one), subnet));
  if (other !== undefined) throw invalid('subnet', `${cidr} overlaps ${other.subnet}, which is network ${JSON.stringify(other.name)}`);
};

export const refuseName = (name: string, others: readonly StoredNetwork[], self?: string): void => {
  if (!others.some((one) => one.name === name && one.id !== self)) return;
  const message = `there is already a network named ${JSON.stringify(name)}`;
  throw new CenoteError('already_exists', message, { fields: [{ field: 'name', message }] });
};
