/**
 * IPv6 on a host, between the host itself and the routers of IPv6 networks: a subnet of each instance's own, out of a range that Cenote keeps for
 * itself. What stands for a network there follows from its address on the external network, so that nobody has to keep account of it.
 */
import { formatAddress, parseAddress } from './address.ts';
import { addressAt, parseDestination, parseSubnet } from './subnet.ts';
import type { Subnet } from './subnet.ts';

/** `fd` and then "cenot", in the letters' numbers. */
export const ownPrefix6 = 'fd63:656e:6f74:';

/** No network's addresses are of these. */
export const ownRange6 = parseDestination('subnet', `${ownPrefix6}:/48`);

export const backboneOf = (instanceNumber: number): Subnet => parseSubnet('subnet', `${ownPrefix6}${instanceNumber.toString(16)}::/64`);

/** What stands there for a network that has this address on the external one. */
export const backboneAddress = (backbone: Subnet, uplink: string): string => addressAt(backbone, Number(parseAddress(uplink)!.value));

/** And back: for whose address on the external network one stands there. */
export const behindBackbone = (backbone: Subnet, address: string): string => formatAddress({ family: 4, value: parseAddress(address)!.value - backbone.first });
