/** A link as its machine has it: what leads there by it. */
import { widthOf } from '../../model/address.ts';
import { parseDestination, placeOf } from '../../model/subnet.ts';
import type { Destination, Subnet } from '../../model/subnet.ts';

/** Which of the machine's interfaces it is, and what it leads to: all there is, the machines beside it and the resolver, or those machines alone. */
export interface InnerEnd {
  name: string;
  leads: 'everywhere' | 'resolver' | 'subnet';
  /** More that is by this network, where it does not lead everywhere. */
  routes?: readonly Destination[] | undefined;
}

/** The resolver is asked at the gateway, or at what stands for one that there is not. */
export const destinationsOf = (subnet: Subnet, leads: 'resolver' | 'subnet', routes: readonly Destination[]): Destination[] => [
  subnet,
  ...routes,
  ...(leads === 'resolver' && placeOf(subnet, subnet.gateway) === null ? [parseDestination('gateway', `${subnet.gateway}/${widthOf(subnet.family)}`)] : []),
];
