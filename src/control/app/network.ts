/** Networks of accounts: what is asked of them is checked here, against what there is, in the transaction that writes it. */
import { randomUUID } from 'node:crypto';
import { CenoteError, invalid } from '../../base/errors.ts';
import { subnetOf } from '../../model/network.ts';
import { externalNetwork } from '../../model/nics.ts';
import type { CreateNetwork, CreateVlan, Network, NetworkAddress, UpdateNetwork, UpdateVlan, Vlan } from '../../model/network-api.ts';
import { addressAt, overlaps, parseSubnet, placeOf } from '../../model/subnet.ts';
import type { Subnet } from '../../model/subnet.ts';
import { addressClaim, addressGet, addressList, addressMachines, addressReserve } from '../../store/address.ts';
import type { RequestContext } from '../../store/context.ts';
import { networkDefault, networkDelete, networkGet, networkInsert, networkList, networkSave, networkSetDefault } from '../../store/network.ts';
import type { StoredNetwork } from '../../store/network.ts';
import type { AddressTable } from '../../store/schema.ts';
import type { Db } from '../../store/store.ts';
import { vlanDelete, vlanFind, vlanGet, vlanInsert, vlanList, vlanSave } from '../../store/vlan.ts';
import type { Control } from '../control.ts';

/** Of one account. */
const mostNetworks = 1000;
/** What a machine's packets may be long, so that they fit into what carries them between hosts. */
const defaultMtu = 1450;
/** Numbers of VLANs that are made unasked begin here; 1 means "untagged" to many. */
const firstVlan = 2;

/** Addresses that are nobody's but a network's own. */
const privateRanges = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'].map((cidr) => parseSubnet('subnet', cidr));

export const vlanCreate = (control: Control, context: RequestContext, asked: CreateVlan): Promise<Vlan> =>
  control.store.transaction(async (db) => {
    await vlanInsert(context, db, { id: asked.id, name: asked.name, description: asked.description ?? '' });
    return vlanGet(context, db, asked.id);
  });

export const vlanUpdate = (control: Control, context: RequestContext, id: number, asked: UpdateVlan): Promise<Vlan> =>
  control.store.transaction(async (db) => {
    const changed = { ...(await vlanGet(context, db, id)), ...asked };
    await vlanSave(context, db, changed);
    return changed;
  });

export const vlanRemove = (control: Control, context: RequestContext, id: number): Promise<void> =>
  control.store.transaction(async (db) => {
    const { networks } = await vlanGet(context, db, id);
    if (networks > 0) {
      const names = (await networkList(context, db, id)).slice(0, 4).map(({ name }) => JSON.stringify(name));
      throw new CenoteError('in_use', `VLAN ${id} has ${networks} network${networks === 1 ? '' : 's'}, such as ${names.join(', ')}`);
    }
    await vlanDelete(context, db, id);
  });

export const networkCreate = async (control: Control, context: RequestContext, asked: CreateNetwork): Promise<Network> => {
  const { addresses, link } = control;
  const subnet = checkSubnet(asked);
  const created = await control.store.transaction(async (db) => {
    const others = await networkList(context, db);
    if (others.length > mostNetworks) throw new CenoteError('not_enough', `there are ${others.length - 1} networks, and ${mostNetworks} is the most`);
    refuseOverlap(subnet, asked.subnet, others);
    refuseName(asked.name, others);
    const id = randomUUID();
    const gateway = asked.gateway === undefined ? subnet.gateway : asked.gateway;
    const network: StoredNetwork = {
      id,
      account: context.account,
      vlan: await vlanFor(context, db, asked.vlan),
      name: asked.name,
      description: asked.description ?? '',
      subnet: asked.subnet,
      gateway,
      ...rangeOf(subnet, gateway, asked),
      resolvers: asked.resolvers ?? [],
      internetNat: asked.internetNat ?? true,
      mtu: asked.mtu ?? defaultMtu,
      uplink: await addresses.choose(context, db, link.external),
      version: 1,
      createdAt: new Date().toISOString(),
    };
    await networkInsert(context, db, network);
    await addressClaim(context, db, externalNetwork, placeOf(subnetOf(link.external), network.uplink!)!, { uplinkOf: id });
    return network;
  });
  return shown(created, null);
};

const checkSubnet = ({ subnet: cidr, gateway }: Pick<CreateNetwork, 'subnet' | 'gateway'>): Subnet => {
  const subnet = parseSubnet('subnet', cidr);
  const last = subnet.first + subnet.size;
  if (!privateRanges.some((range) => subnet.first >= range.first && last <= range.first + range.size))
    throw invalid('subnet', `${cidr} is not within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16`);
  if (gateway !== undefined && gateway !== null) demandWithin('gateway', subnet, gateway);
  return subnet;
};

/** As a place. */
const demandWithin = (field: string, subnet: Subnet, address: string): number => {
  const place = placeOf(subnet, address);
  if (place === null || place === 0 || place === subnet.size - 1)
    throw invalid(field, `${address} is not between ${addressAt(subnet, 1)} and ${addressAt(subnet, subnet.size - 2)}, the addresses of ${subnet.cidr}`);
  return place;
};

const refuseOverlap = (subnet: Subnet, cidr: string, others: readonly StoredNetwork[]): void => {
  const other = others.find((one) => overlaps(subnetOf(one), subnet));
  if (other !== undefined) throw invalid('subnet', `${cidr} overlaps ${other.subnet}, which is network ${JSON.stringify(other.name)}`);
};

const refuseName = (name: string, others: readonly StoredNetwork[], self?: string): void => {
  if (!others.some((one) => one.name === name && one.id !== self)) return;
  const message = `there is already a network named ${JSON.stringify(name)}`;
  throw new CenoteError('already_exists', message, { fields: [{ field: 'name', message }] });
};

/** Without a wish: all that machines may have, but for a gateway at either end. */
const rangeOf = (
  subnet: Subnet,
  gateway: string | null,
  { rangeFirst, rangeLast }: Pick<CreateNetwork, 'rangeFirst' | 'rangeLast'>,
): Pick<StoredNetwork, 'rangeFirst' | 'rangeLast'> => {
  const gatewayPlace = gateway === null ? null : placeOf(subnet, gateway);
  const first = rangeFirst === undefined ? (gatewayPlace === 1 ? 2 : 1) : demandWithin('rangeFirst', subnet, rangeFirst);
  const end = subnet.size - 2;
  const last = rangeLast === undefined ? (gatewayPlace === end ? end - 1 : end) : demandWithin('rangeLast', subnet, rangeLast);
  if (last < first) throw invalid('rangeLast', `${addressAt(subnet, last)} is before ${addressAt(subnet, first)}, where the range begins`);
  return { rangeFirst: first, rangeLast: last };
};

const vlanFor = async (context: RequestContext, db: Db, asked: number | undefined): Promise<number> => {
  if (asked !== undefined) {
    if ((await vlanFind(context, db, asked)) === undefined) throw invalid('vlan', `there is no VLAN ${asked}`, 'make it first');
    return asked;
  }
  const [lowest] = await vlanList(context, db);
  if (lowest !== undefined) return lowest.id;
  await vlanInsert(context, db, { id: firstVlan, name: 'default', description: '' });
  return firstVlan;
};

const demandOwn = ({ account, name }: StoredNetwork): void => {
  if (account === null) throw new CenoteError('forbidden', `network ${JSON.stringify(name)} is the host's own and cannot be changed`);
};

export const networkUpdate = async (control: Control, context: RequestContext, idOrName: string, asked: UpdateNetwork): Promise<Network> => {
  if (Object.keys(asked).length === 0) throw invalid('body', 'nothing to change');
  const { changed, usual } = await control.store.transaction(async (db) => {
    const network = await networkGet(context, db, idOrName);
    demandOwn(network);
    const { rangeFirst, rangeLast, ...rest } = asked;
    if (asked.name !== undefined) refuseName(asked.name, await networkList(context, db), network.id);
    const subnet = subnetOf(network);
    const range = { rangeFirst: rangeFirst ?? addressAt(subnet, network.rangeFirst), rangeLast: rangeLast ?? addressAt(subnet, network.rangeLast) };
    const saved: StoredNetwork = { ...network, ...rest, ...rangeOf(subnet, network.gateway, range), version: network.version + 1 };
    await networkSave(context, db, saved);
    return { changed: saved, usual: await networkDefault(context, db) };
  });
  await control.networks.changed(changed.id);
  return shown(changed, usual);
};

export const networkRemove = (control: Control, context: RequestContext, idOrName: string): Promise<void> =>
  control.store.transaction(async (db) => {
    const network = await networkGet(context, db, idOrName);
    demandOwn(network);
    const machines = await addressMachines(context, db, network.id);
    if (machines.length > 0) {
      const more = machines.length > 3 ? ' and others' : '';
      throw new CenoteError('in_use', `network ${JSON.stringify(network.name)} has machines on it: ${machines.slice(0, 3).join(', ')}${more}`);
    }
    await networkDelete(context, db, network.id);
  });

export const networkShow = async (control: Control, context: RequestContext, idOrName: string): Promise<Network> => {
  const { db } = control.store;
  return shown(await networkGet(context, db, idOrName), await networkDefault(context, db));
};

export const networksShow = async (control: Control, context: RequestContext): Promise<Network[]> => {
  const { db } = control.store;
  const usual = await networkDefault(context, db);
  return (await networkList(context, db)).map((network) => shown(network, usual));
};

/** New machines of the account are on it when nothing is said. */
export const networkMakeDefault = (control: Control, context: RequestContext, idOrName: string): Promise<Network> =>
  control.store.transaction(async (db) => {
    const network = await networkGet(context, db, idOrName);
    await networkSetDefault(context, db, network.account === null ? null : network.id);
    return shown(network, network.id);
  });

const shown = (network: StoredNetwork, usual: string | null): Network => {
  const { id, account, vlan, name, description, subnet, gateway, resolvers, internetNat, mtu, uplink, createdAt } = network;
  const [rangeFirst, rangeLast] = [network.rangeFirst, network.rangeLast].map((place) => addressAt(subnetOf(network), place)) as [string, string];
  const isDefault = id === (usual ?? externalNetwork);
  return {
    id,
    name,
    description,
    fabric: account !== null,
    vlan,
    subnet,
    gateway,
    rangeFirst,
    rangeLast,
    resolvers,
    internetNat,
    mtu,
    uplink,
    isDefault,
    createdAt,
  };
};

/** Those that somebody has or that are reserved, and the gateway, which nobody can have. */
export const networkAddresses = async (
  control: Control,
  context: RequestContext,
  idOrName: string,
  page: { limit: number; offset: number },
): Promise<NetworkAddress[]> => {
  const { db } = control.store;
  const network = await networkGet(context, db, idOrName);
  return (await addressList(context, db, network, page)).map((row) => shownAddress(network, row.place, row));
};

export const networkAddress = async (control: Control, context: RequestContext, idOrName: string, address: string): Promise<NetworkAddress> => {
  const { db } = control.store;
  const network = await networkGet(context, db, idOrName);
  const place = placeOf(subnetOf(network), address);
  if (place === null) throw new CenoteError('not_found', `${address.slice(0, 40)} is not of network ${JSON.stringify(network.name)}, ${network.subnet}`);
  const row = await addressGet(context, db, network.id, place);
  // Of the external network one sees who one is, not who others are.
  const own = network.account === null ? await addressList(context, db, network, { limit: 1_000_000, offset: 0 }) : [];
  const seen = network.account !== null || own.some((one) => one.place === place);
  return shownAddress(network, place, seen ? row : undefined);
};

export const networkReserve = (control: Control, context: RequestContext, idOrName: string, address: string, reserved: boolean): Promise<NetworkAddress> =>
  control.store.transaction(async (db) => {
    const network = await networkGet(context, db, idOrName);
    demandOwn(network);
    const place = demandWithin('address', subnetOf(network), address);
    if (address === network.gateway) throw new CenoteError('in_use', `${address} is the gateway of network ${JSON.stringify(network.name)}`);
    await addressReserve(context, db, network.id, place, reserved);
    return shownAddress(network, place, await addressGet(context, db, network.id, place));
  });

const shownAddress = (network: StoredNetwork, place: number, row: AddressTable | undefined): NetworkAddress => {
  const address = addressAt(subnetOf(network), place);
  const managed = address === network.gateway || (row?.uplink_of ?? null) !== null || place === 0 || place === subnetOf(network).size - 1;
  return { address, reserved: row?.reserved === 1 || managed, managed, machine: row?.machine ?? null };
};
