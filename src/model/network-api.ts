/** Networks as the control plane's API has them: what accounts make, see and change. */
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { networkNamePattern } from './names.ts';
import { DeviceName, IpAddress, mostSubnetCharacters, NetworkRoutes, Nic, WireTag } from './network.ts';

const closed = { additionalProperties: false } as const;
const ipv4 = Type.String({ format: 'ipv4' });
const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()]);

const name = Type.String({ pattern: networkNamePattern });
const description = Type.String({ maxLength: 255, pattern: '^[^\\u0000]*$' });
const owners = Type.Array(Type.String({ minLength: 1, maxLength: 64 }), { maxItems: 1000 });
export const VlanId = Type.Integer({ minimum: 0, maximum: 4095 });

export const Vlan = Type.Object({ id: VlanId, name: Type.String(), description: Type.String(), networks: Type.Integer() }, closed);
export type Vlan = Static<typeof Vlan>;

export const CreateVlan = Type.Object({ id: VlanId, name, description: Type.Optional(description) }, closed);
export type CreateVlan = Static<typeof CreateVlan>;

/** What is left out stays as it is. */
export const UpdateVlan = Type.Object({ name: Type.Optional(name), description: Type.Optional(description) }, closed);
export type UpdateVlan = Static<typeof UpdateVlan>;

export const Network = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    description: Type.String(),
    /** Whether it is an account's own. The external network, and shared ones, are the operator's. */
    fabric: Type.Boolean(),
    /** Whether machines are reached from outside by their addresses on it, and seen there under them. */
    public: Type.Boolean(),
    /** Accounts that may use it, by name; none: everybody. Of a shared one, and told to the operator. */
    owners: Type.Optional(Type.Array(Type.String())),
    vlan: nullable(VlanId),
    subnet: Type.String(),
    gateway: nullable(Type.String()),
    /** First and last address that are given to machines unasked. */
    rangeFirst: Type.String(),
    rangeLast: Type.String(),
    resolvers: Type.Array(Type.String()),
    /** Machines' addresses by the subnets that they carry. */
    routes: Type.Record(Type.String(), Type.String()),
    internetNat: Type.Boolean(),
    mtu: Type.Integer(),
    /** Of one on a wire, and told to the operator: at which device of the host, and with which tag there. */
    device: Type.Optional(Type.String()),
    tag: Type.Optional(Type.Integer()),
    /** By which it is seen outside; null for the external network itself. */
    uplink: nullable(Type.String()),
    /** Whether the caller's machines are on it when nothing is said. */
    isDefault: Type.Boolean(),
    createdAt: Type.String(),
  },
  closed,
);
export type Network = Static<typeof Network>;

export const CreateNetwork = Type.Object(
  {
    name,
    description: Type.Optional(description),
    /** A shared one, for machines of several accounts; for operators. */
    global: Type.Optional(Type.Boolean()),
    /** Of a shared one: accounts that may use it, by name or id. Absent or empty: everybody. */
    owners: Type.Optional(owners),
    /** Of a shared one: machines are reached from outside by their own addresses. */
    public: Type.Optional(Type.Boolean()),
    /** Of a public one: its subnet and its gateway are on a wire, at this device of the host, perhaps with a tag. Absent: the network outside leads it to the host. */
    device: Type.Optional(DeviceName),
    tag: Type.Optional(WireTag),
    /** Absent: the account's lowest, or one that is made. */
    vlan: Type.Optional(VlanId),
    subnet: Type.String({ maxLength: mostSubnetCharacters }),
    /** Absent: the first address. */
    gateway: Type.Optional(nullable(IpAddress)),
    /** Absent: from the first to the last that a machine may have. */
    rangeFirst: Type.Optional(IpAddress),
    rangeLast: Type.Optional(IpAddress),
    resolvers: Type.Optional(Type.Array(IpAddress, { maxItems: 4 })),
    routes: Type.Optional(NetworkRoutes),
    internetNat: Type.Optional(Type.Boolean()),
    mtu: Type.Optional(Type.Integer({ minimum: 576, maximum: 9000 })),
  },
  closed,
);
export type CreateNetwork = Static<typeof CreateNetwork>;

/** What is left out stays as it is. Subnet, gateway and MTU stand, since machines have them. */
export const UpdateNetwork = Type.Object(
  {
    name: Type.Optional(name),
    description: Type.Optional(description),
    rangeFirst: Type.Optional(IpAddress),
    rangeLast: Type.Optional(IpAddress),
    resolvers: Type.Optional(Type.Array(IpAddress, { maxItems: 4 })),
    routes: Type.Optional(NetworkRoutes),
    internetNat: Type.Optional(Type.Boolean()),
    owners: Type.Optional(owners),
  },
  closed,
);
export type UpdateNetwork = Static<typeof UpdateNetwork>;

/** Of shared networks: an address is taken from the first that has one. */
export const NetworkPool = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    description: Type.String(),
    /** By name; those that the caller may use. */
    networks: Type.Array(Type.String()),
    createdAt: Type.String(),
  },
  closed,
);
export type NetworkPool = Static<typeof NetworkPool>;

const poolNetworks = Type.Array(Type.String({ minLength: 1, maxLength: 128 }), { minItems: 1, maxItems: 100 });

export const CreateNetworkPool = Type.Object({ name, description: Type.Optional(description), networks: poolNetworks }, closed);
export type CreateNetworkPool = Static<typeof CreateNetworkPool>;

/** What is left out stays as it is. */
export const UpdateNetworkPool = Type.Object(
  { name: Type.Optional(name), description: Type.Optional(description), networks: Type.Optional(poolNetworks) },
  closed,
);
export type UpdateNetworkPool = Static<typeof UpdateNetworkPool>;

/** An address that the account has, and that any of its machines may be reached by and seen as. */
export const FloatingAddress = Type.Object(
  { address: Type.String(), network: Type.String(), networkName: Type.String(), machine: nullable(Type.String()) },
  closed,
);
export type FloatingAddress = Static<typeof FloatingAddress>;

/** Of a public network, or a pool of such, by name or id. */
export const CreateFloatingAddress = Type.Object({ network: Type.String({ minLength: 1, maxLength: 128 }), address: Type.Optional(ipv4) }, closed);
export type CreateFloatingAddress = Static<typeof CreateFloatingAddress>;

export const AttachFloatingAddress = Type.Object({ machine: Type.String({ minLength: 1, maxLength: 512 }) }, closed);
export type AttachFloatingAddress = Static<typeof AttachFloatingAddress>;

export const NetworkAddress = Type.Object(
  {
    address: Type.String(),
    /** Kept from being given to machines unasked. */
    reserved: Type.Boolean(),
    /** Of the network itself: its gateway, or another network's way out. */
    managed: Type.Boolean(),
    /** An account's own, which it attaches to machines as it likes. */
    floating: Type.Boolean(),
    machine: nullable(Type.String()),
  },
  closed,
);
export type NetworkAddress = Static<typeof NetworkAddress>;

export const ReserveAddress = Type.Object({ reserved: Type.Boolean() }, closed);
export type ReserveAddress = Static<typeof ReserveAddress>;

/** A network or a pool, by name or id, with an address of one's choice or without. */
export const NicWish = Type.Object(
  { network: Type.String({ minLength: 1, maxLength: 128 }), address: Type.Optional(IpAddress), primary: Type.Optional(Type.Boolean()) },
  closed,
);
export type NicWish = Static<typeof NicWish>;

/** One more address on a NIC: of one's choice, or the next. */
export const AddressWish = Type.Object({ address: Type.Optional(IpAddress) }, closed);
export type AddressWish = Static<typeof AddressWish>;

export const MachineNic = Type.Object(
  {
    ...Nic.properties,
    mac: Type.String(),
    /** Null where the machine does not know the network any more. */
    networkName: Type.String(),
    gateway: nullable(Type.String()),
    netmask: Type.String(),
    state: Type.Union([Type.Literal('provisioning'), Type.Literal('running'), Type.Literal('stopped')]),
  },
  closed,
);
export type MachineNic = Static<typeof MachineNic>;
