/** What is refused of any network: an address that is not of it, one that overlaps, a name that there is. */
import { CenoteError, invalid } from '../../base/errors.ts';
import { canonicalAddress } from '../../model/address.ts';
import { ownRange6 } from '../../model/backbone.ts';
import { leastMtu6, subnetOf } from '../../model/network.ts';
import type { NetworkRoutes } from '../../model/network.ts';
import type { CreateNetwork, UpdateNetwork } from '../../model/network-api.ts';
import { addressAt, overlaps, parseDestination, placeOf } from '../../model/subnet.ts';
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

const destinations = (...cidrs: string[]) => cidrs.map((cidr) => parseDestination('subnet', cidr));
/** This host, loopback and link-local, groups, and what stands for IPv4 or is led elsewhere: no machine's addresses, whatever the network. */
export const noMachines = destinations('0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3', '::/8', 'fe80::/9', 'ff00::/8');

export const refuseOwnRange = (subnet: Subnet): void => {
  if (overlaps(subnet, ownRange6)) throw invalid('subnet', `${subnet.cidr} overlaps ${ownRange6.cidr}, which Cenote itself uses between hosts and networks`);
};

/** What is said of a network in addresses, each as it is kept. */
export const canonicalNetwork = <Asked extends UpdateNetwork & Pick<CreateNetwork, 'gateway'>>(asked: Asked): Asked => {
  const one = (key: 'gateway' | 'rangeFirst' | 'rangeLast') => (typeof asked[key] === 'string' ? { [key]: canonicalAddress(asked[key]) } : {});
  const { resolvers, routes } = asked;
  return {
    ...asked,
    ...one('gateway'),
    ...one('rangeFirst'),
    ...one('rangeLast'),
    ...(resolvers === undefined ? {} : { resolvers: resolvers.map(canonicalAddress) }),
    ...(routes === undefined ? {} : { routes: canonicalRoutes(routes) }),
  };
};

const canonicalRoutes = (routes: NetworkRoutes): NetworkRoutes =>
  Object.fromEntries(Object.entries(routes).map(([cidr, by]) => [parseDestination('routes', cidr).cidr, canonicalAddress(by)]));

/** IPv6 is not carried in shorter packets. */
export const refuseMtu = ({ family }: Subnet, mtu: number): void => {
  if (family === 6 && mtu < leastMtu6) throw invalid('mtu', `${mtu} is too little for IPv6, which needs ${leastMtu6}`);
};

/** What machines of the network carry for it. */
export const checkRoutes = (subnet: Subnet, gateway: string | null, routes: NetworkRoutes): NetworkRoutes => {
  for (const [cidr, by] of Object.entries(routes)) {
    const destination = parseDestination('routes', cidr);
    if (overlaps(destination, subnet)) throw invalid('routes', `${cidr} overlaps ${subnet.cidr}, which is the network itself`);
    if (destination.family !== subnet.family) throw invalid('routes', `${cidr} is not of IPv${subnet.family}, as ${subnet.cidr} is`);
    const wrong = noMachines.find((one) => overlaps(one, destination));
    if (wrong !== undefined) throw invalid('routes', `${cidr} overlaps ${wrong.cidr}, which no machine carries`);
    demandWithin('routes', subnet, by);
    if (by === gateway) throw invalid('routes', `${by} is the gateway; machines send it everything that goes elsewhere`);
  }
  return routes;
};
