/**
 * Networks. There is one that every host has, the *external* one: all accounts' machines may be on it, and it leads outside. The others are
 * *fabric networks*, of one account each, and *shared* ones, which the operator makes for several; of those a host is told what is here, and
 * only while a machine of it is on one.
 */
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { invalid } from '../base/errors.ts';
import { familyOf } from './address.ts';
import { ownPrefix6 } from './backbone.ts';
import { parseSubnet } from './subnet.ts';
import type { Subnet } from './subnet.ts';

const closed = { additionalProperties: false } as const;
const ipv4 = Type.String({ format: 'ipv4' });
/** Of either family. */
export const IpAddress = Type.Union([ipv4, Type.String({ format: 'ipv6' })]);
/** As long as one can be written. */
export const mostSubnetCharacters = 43;

export const mostNics = 32;
/** Of one NIC. */
export const mostAddresses = 32;

/** A machine's place on a network: at most one on each. */
export const Nic = Type.Object(
  {
    network: Type.String({ format: 'uuid' }),
    address: IpAddress,
    /** Inside it is `eth` and this number, for as long as it is there. */
    index: Type.Integer({ minimum: 0, maximum: mostNics - 1 }),
    /** The one whose gateway leads to everywhere else; exactly one is. */
    primary: Type.Boolean(),
    /** Further addresses of the network that it has. */
    more: Type.Optional(Type.Array(IpAddress, { minItems: 1, maxItems: mostAddresses - 1, uniqueItems: true })),
  },
  closed,
);
export type Nic = Static<typeof Nic>;

export const Nics = Type.Array(Nic, { minItems: 1, maxItems: mostNics });

export const mostRoutes = 64;

/** Where machines of a network send what is for certain subnets: to one of them, by its address. */
export const NetworkRoutes = Type.Record(Type.String({ maxLength: mostSubnetCharacters }), IpAddress, { maxProperties: mostRoutes });
export type NetworkRoutes = Static<typeof NetworkRoutes>;

/** A network device of a host. */
export const DeviceName = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$' });

/** On the loopback, and on links that Cenote makes, there is nobody outside. */
export const refuseOwnDevice = (device: string): void => {
  if (device !== 'lo' && !/^cn\d+[a-z]/.test(device)) return;
  throw invalid('device', `nobody outside is at ${device}`, 'name the device of the host that leads to the wire: `ip link` shows those that it has');
};
/** Of packets on a wire, by 802.1Q. */
export const WireTag = Type.Integer({ minimum: 1, maximum: 4094 });

/** A public subnet that is on a wire, at a device of the host, with its gateway. */
export const WiredSubnet = Type.Object(
  { subnet: Type.String({ maxLength: mostSubnetCharacters }), gateway: ipv4, device: DeviceName, tag: Type.Optional(WireTag) },
  closed,
);
export type WiredSubnet = Static<typeof WiredSubnet>;

/** A wire with addresses that are in use here. */
export const WireStatus = Type.Object(
  {
    subnet: Type.String(),
    device: Type.String(),
    tag: Type.Optional(WireTag),
    /** Why its addresses are not reached by it now; null: they are. */
    lacks: Type.Union([Type.String(), Type.Null()]),
  },
  closed,
);
export type WireStatus = Static<typeof WireStatus>;

/** What a host has to know of a fabric network, or of a shared one, to be its router. */
export const NetworkDefinition = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    /** Null: shared, and its addresses are nobody else's on the host. */
    account: Type.Union([Type.String({ maxLength: 64 }), Type.Null()]),
    /** Of a shared one: machines are reached from outside, and seen there, by their own addresses. */
    isPublic: Type.Optional(Type.Boolean()),
    /** Counts changes: an older one never replaces a newer. */
    version: Type.Integer({ minimum: 1 }),
    subnet: Type.String({ maxLength: mostSubnetCharacters }),
    /** Null: machines reach nothing but each other, and the resolver. */
    gateway: Type.Union([IpAddress, Type.Null()]),
    /** Asked by machines whose primary network it is; none: the host's own. */
    resolvers: Type.Array(IpAddress, { maxItems: 4 }),
    /** Whether machines reach the outside, by the network's address on the external network; of IPv6 ones, as the host does. */
    internetNat: Type.Boolean(),
    mtu: Type.Integer({ minimum: 576, maximum: 9000 }),
    routes: Type.Optional(NetworkRoutes),
    /** Of a public one: where its subnet is on a wire. Absent: the network outside leads it to the host. */
    device: Type.Optional(DeviceName),
    tag: Type.Optional(WireTag),
    /** The network's own address on the external network. */
    uplink: ipv4,
  },
  closed,
);
export type NetworkDefinition = Static<typeof NetworkDefinition>;

/** Whose a floating address is on a host. */
export const FloatingState = Type.Object(
  {
    address: ipv4,
    machine: Type.Union([Type.String({ format: 'uuid' }), Type.Null()]),
    /** Counts changes: an older one never replaces a newer. */
    version: Type.Integer({ minimum: 1 }),
    /** Where its network is on a wire; the host need not know that one otherwise. */
    wired: Type.Optional(WiredSubnet),
  },
  closed,
);
export type FloatingState = Static<typeof FloatingState>;

/** Whether machines of several accounts are on it, as on the external one. */
export const isShared = ({ account }: Pick<NetworkDefinition, 'account'>): boolean => account === null;

/** Null where it is on no wire. */
export const wiredOf = ({ subnet, gateway, device, tag }: Pick<NetworkDefinition, 'subnet' | 'gateway' | 'device' | 'tag'>): WiredSubnet | null =>
  device === undefined || gateway === null ? null : { subnet, gateway, device, ...(tag === undefined ? {} : { tag }) };

/** What machines send to where a network has no gateway: a next hop need be no address of the subnet. */
const hops = { 4: '169.254.1.1', 6: `${ownPrefix6}ffff::1` } as const;

/** A host's neighbours take no shorter packets of IPv6 than these to be whole. */
export const leastMtu6 = 1280;

export const subnetOf = ({ subnet, gateway }: Pick<NetworkDefinition, 'subnet' | 'gateway'>): Subnet =>
  parseSubnet('subnet', subnet, gateway ?? hops[familyOf(subnet)]);
