/** Networks and NICs as CloudAPI shows them. Of the operator's networks accounts see that they are there, of their own all. */
import { Type } from 'typebox';
import { macOf } from '../../../model/mac.ts';
import type { Machine } from '../../../model/control-api.ts';
import { subnetOf } from '../../../model/network.ts';
import { externalNetwork, nicsOf } from '../../../model/nics.ts';
import type { Nic } from '../../../model/network.ts';
import type { Network } from '../../../model/network-api.ts';
import { netmaskOf } from '../../../model/subnet.ts';
import type { StoredNetwork } from '../../../store/network.ts';
import type { StoredPool } from '../../../store/network-pool.ts';
import { nicState } from '../../app/nics.ts';

export const WireNetwork = Type.Object({
  id: Type.String({ format: 'uuid' }),
  name: Type.String(),
  public: Type.Boolean(),
  description: Type.String(),
  fabric: Type.Optional(Type.Boolean()),
  vlan_id: Type.Optional(Type.Integer()),
  subnet: Type.Optional(Type.String()),
  provision_start_ip: Type.Optional(Type.String()),
  provision_end_ip: Type.Optional(Type.String()),
  gateway: Type.Optional(Type.String()),
  resolvers: Type.Optional(Type.Array(Type.String())),
  routes: Type.Optional(Type.Record(Type.String(), Type.String())),
  internet_nat: Type.Optional(Type.Boolean()),
});

const externalDescription = "machines' own addresses, reached from the host and from each other";

export const networkWire = (network: Network) => ({
  id: network.id,
  name: network.name,
  public: network.public,
  description: network.id === externalNetwork ? externalDescription : network.description,
  ...(network.fabric
    ? {
        fabric: true,
        ...(network.vlan === null ? {} : { vlan_id: network.vlan }),
        subnet: network.subnet,
        provision_start_ip: network.rangeFirst,
        provision_end_ip: network.rangeLast,
        ...(network.gateway === null ? {} : { gateway: network.gateway }),
        resolvers: network.resolvers,
        routes: network.routes,
        internet_nat: network.internetNat,
      }
    : {}),
});

/** A pool is shown as a network, and named where one is. */
export const poolWire = ({ id, name, description, networks }: StoredPool) => ({
  id,
  name,
  public: networks.every(({ isPublic }) => isPublic),
  description,
});

export const WireNic = Type.Object({
  mac: Type.String(),
  ip: Type.String(),
  primary: Type.Boolean(),
  gateway: Type.Optional(Type.String()),
  netmask: Type.String(),
  state: Type.String(),
  network: Type.String({ format: 'uuid' }),
});

export interface Place {
  gateway: string | null;
  netmask: string;
}

/** Where NICs are, by the networks' ids. */
export type Places = ReadonlyMap<string, Place>;

export const placesOf = (networks: readonly StoredNetwork[]): Places =>
  new Map(networks.map((network) => [network.id, { gateway: network.gateway, netmask: netmaskOf(subnetOf(network)) }]));

const single: Place = { gateway: null, netmask: '255.255.255.255' };

const nicWire = (machine: Machine, { network, address, primary }: Nic, places: Places) => {
  const { gateway, netmask } = places.get(network) ?? single;
  return { mac: macOf(address), ip: address, primary, ...(gateway === null ? {} : { gateway }), netmask, state: nicState(machine), network };
};

export const nicsWire = (machine: Machine, places: Places) => nicsOf(machine).map((nic) => nicWire(machine, nic, places));
