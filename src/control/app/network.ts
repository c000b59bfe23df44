/** Networks of accounts: what is asked of them is checked here, against what there is, in the transaction that writes it. */
import { randomUUID } from 'node:crypto';
import { CenoteError, invalid } from '../../base/errors.ts';
import { canonicalAddress } from '../../model/address.ts';
import { subnetOf } from '../../model/network.ts';
import { externalNetwork } from '../../model/nics.ts';
import type { CreateNetwork, CreateVlan, Network, NetworkAddress, UpdateNetwork, UpdateVlan, Vlan } from '../../model/network-api.ts';
import { addressAt, isWithin, parseDestination, parseSubnet, placeOf } from '../../model/subnet.ts';
import type { Subnet } from '../../model/subnet.ts';
import type { NetworkUsage } from '../../model/network-usage.ts';
import { addressClaim, addressGet, addressList, addressMachines, addressReserve } from '../../store/address.ts';
import { authorize } from '../../store/context.ts';
import type { RequestContext } from '../../store/context.ts';
import { networkDefault, networkDelete, networkGet, networkInsert, networkList, networkSave, networkSetDefault } from '../../store/network.ts';
import type { StoredNetwork } from '../../store/network.ts';
import type { AddressRow } from '../../store/schema.ts';
import type { Db } from '../../store/store.ts';
import { vlanDelete, vlanFind, vlanGet, vlanInsert, vlanList, vlanSave } from '../../store/vlan.ts';
import type { Control } from '../control.ts';
import { checkSharedSubnet, ownerNames, ownersOf, refuseFloating, refusePooled, refuseShared, refuseSharedName } from './shared-network.ts';
import type { OwnerNames } from './shared-network.ts';
import { canonicalNetwork, checkRoutes, demandWithin, refuseMtu, refuseName, refuseOverlap, refuseOwnRange } from './subnet-check.ts';

/** Of one account. */
const mostNetworks = 1000;
/** What a machine's packets may be long, so that they fit into what carries them between hosts. */
const defaultMtu = 1450;
/** Numbers of VLANs that are made unasked begin here; 1 means "untagged" to many. */
const firstVlan = 2;
/** Shared networks are of one host's, and like the external one. */
const sharedMtu = 1500;

/** Addresses that are nobody's but a network's own. */
const privateRanges = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'].map((cidr) => parseDestination('subnet', cidr));

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

export const networkCreate = async (control: Control, context: RequestContext, written: CreateNetwork): Promise<Network> => {
  const { addresses, link } = control;
  const asked = canonicalNetwork(written);
  const isShared = asked.global === true;
  if (isShared) authorize(context, 'operate');
  const subnet = isShared ? checkSharedSubnet(asked) : checkSubnet(asked);
  const mtu = asked.mtu ?? (isShared ? sharedMtu : defaultMtu);
  refuseMtu(subnet, mtu);
  const created = await control.store.transaction(async (db) => {
    if (isShared) await refuseShared(context, db, subnet, asked);
    else await refuseOwn(context, db, subnet, asked);
    const id = randomUUID();
    const gateway = asked.gateway === undefined ? subnet.gateway : asked.gateway;
    const network: StoredNetwork = {
      id,
      account: isShared ? null : context.account,
      owners: await ownersOf(context, db, asked.owners ?? []),
      isPublic: asked.public ?? false,
      vlan: isShared ? null : await vlanFor(context, db, asked.vlan),
      name: asked.name,
      description: asked.description ?? '',
      subnet: subnet.cidr,
      gateway,
      ...rangeOf(subnet, gateway, asked),
      resolvers: asked.resolvers ?? [],
      routes: checkRoutes(subnet, gateway, asked.routes ?? {}),
      internetNat: asked.internetNat ?? true,
      mtu,
      device: asked.device ?? null,
      tag: asked.tag ?? null,
      uplink: await addresses.choose(context, db, link.external),
      version: 1,
      createdAt: new Date().toISOString(),
    };
    await networkInsert(context, db, network);
    await addressClaim(context, db, externalNetwork, placeOf(subnetOf(link.external), network.uplink!)!, { uplinkOf: id });
    return network;
  });
  if (isShared) control.changes.tell(null);
  return show(control, context, created, null);
};

/** One of the account's own: what it would overlap are those that its machines may be on. */
const refuseOwn = async (context: RequestContext, db: Db, subnet: Subnet, asked: CreateNetwork): Promise<void> => {
  const words = Object.entries({ owners: asked.owners, public: asked.public, device: asked.device, tag: asked.tag }).filter(([, value]) => value !== undefined);
  for (const [field] of words) throw invalid(field, 'is said of shared networks only', 'operators make one with --global');
  const others = await networkList(context, db);
  const own = others.filter(({ account }) => account !== null);
  if (own.length >= mostNetworks) throw new CenoteError('over_quota', `there are ${own.length} networks, and ${mostNetworks} is the most`);
  refuseOverlap(subnet, asked.subnet, others);
  refuseName(asked.name, others);
};

const checkSubnet = ({ subnet: cidr, gateway }: Pick<CreateNetwork, 'subnet' | 'gateway'>): Subnet => {
  const subnet = parseSubnet('subnet', cidr);
  if (!privateRanges.some((range) => isWithin(subnet, range)))
    throw invalid('subnet', `${cidr} is not within ${subnet.family === 6 ? 'fc00::/7' : '10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16'}`);
  refuseOwnRange(subnet);
  if (gateway !== undefined && gateway !== null) demandWithin('gateway', subnet, gateway);
  return subnet;
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

const demandOwn = (context: RequestContext, { id, account, name }: StoredNetwork): void => {
  if (id === externalNetwork) throw new CenoteError('forbidden', `network ${JSON.stringify(name)} is the host's own and cannot be changed`);
  if (account === null && context.role === 'account')
    throw new CenoteError('forbidden', `network ${JSON.stringify(name)} is the operator's and cannot be changed`);
};

export const networkUpdate = async (control: Control, context: RequestContext, idOrName: string, written: UpdateNetwork): Promise<Network> => {
  const asked = canonicalNetwork(written);
  if (Object.keys(asked).length === 0) throw invalid('body', 'nothing to change');
  const { changed, usual } = await control.store.transaction(async (db) => {
    const network = await networkGet(context, db, idOrName);
    demandOwn(context, network);
    const { rangeFirst, rangeLast, owners, ...rest } = asked;
    if (owners !== undefined && network.account !== null) throw invalid('owners', 'is said of shared networks only');
    if (asked.name !== undefined && asked.name !== network.name) {
      if (network.account === null) await refuseSharedName(context, db, asked.name);
      else refuseName(asked.name, await networkList(context, db), network.id);
    }
    const subnet = subnetOf(network);
    const range = { rangeFirst: rangeFirst ?? addressAt(subnet, network.rangeFirst), rangeLast: rangeLast ?? addressAt(subnet, network.rangeLast) };
    const saved: StoredNetwork = {
      ...network,
      ...rest,
      ...rangeOf(subnet, network.gateway, range),
      ...(asked.routes === undefined ? {} : { routes: checkRoutes(subnet, network.gateway, asked.routes) }),
      ...(owners === undefined ? {} : { owners: await ownersOf(context, db, owners) }),
      version: network.version + 1,
    };
    await networkSave(context, db, saved);
    return { changed: saved, usual: await networkDefault(context, db) };
  });
  await control.networks.changed(changed.id);
  return show(control, context, changed, usual);
};

export const networkRemove = async (control: Control, context: RequestContext, idOrName: string): Promise<void> => {
  const isShared = await control.store.transaction(async (db) => {
    const network = await networkGet(context, db, idOrName);
    demandOwn(context, network);
    const machines = await addressMachines(context, db, network.id);
    if (machines.length > 0) {
      const more = machines.length > 3 ? ' and others' : '';
      throw new CenoteError('in_use', `network ${JSON.stringify(network.name)} has machines on it: ${machines.slice(0, 3).join(', ')}${more}`);
    }
    if (network.account === null) await refusePooled(context, db, network);
    await refuseFloating(db, network);
    await networkDelete(context, db, network.id);
    return network.account === null;
  });
  if (isShared) control.changes.tell(null);
};

export const networkShow = async (control: Control, context: RequestContext, idOrName: string): Promise<Network> => {
  const { db } = control.store;
  return show(control, context, await networkGet(context, db, idOrName), await networkDefault(context, db));
};

/** Of what is the operator's an account is not told who else is there, nor what becomes of their packets. */
export const networkUsage = async (control: Control, context: RequestContext, idOrName: string): Promise<NetworkUsage> => {
  const network = await networkGet(context, control.store.db, idOrName);
  if (network.account === null) authorize(context, 'operate');
  return control.agent.networkUsage(network.id);
};

export const networksShow = async (control: Control, context: RequestContext): Promise<Network[]> => {
  const { db } = control.store;
  const usual = await networkDefault(context, db);
  const networks = await networkList(context, db);
  const names = await ownerNames(context, db, networks);
  return networks.map((network) => shown(network, usual, names));
};

/** New machines of the account are on it when nothing is said. */
export const networkMakeDefault = async (control: Control, context: RequestContext, idOrName: string): Promise<Network> => {
  const made = await control.store.transaction(async (db) => {
    const network = await networkGet(context, db, idOrName);
    await networkSetDefault(context, db, network.id === externalNetwork ? null : network.id);
    return network;
  });
  return show(control, context, made, made.id);
};

const show = async (control: Control, context: RequestContext, network: StoredNetwork, usual: string | null): Promise<Network> =>
  shown(network, usual, await ownerNames(context, control.store.db, [network]));

const shown = (network: StoredNetwork, usual: string | null, names: OwnerNames): Network => {
  const { id, account, vlan, name, description, subnet, gateway, resolvers, routes, internetNat, mtu, device, tag, uplink, createdAt } = network;
  const [rangeFirst, rangeLast] = [network.rangeFirst, network.rangeLast].map((place) => addressAt(subnetOf(network), place)) as [string, string];
  const isDefault = id === (usual ?? externalNetwork);
  return {
    id,
    name,
    description,
    fabric: account !== null,
    public: network.isPublic,
    ...(names === undefined || account !== null ? {} : { owners: network.owners.map((owner) => names.get(owner) ?? owner) }),
    ...(names === undefined || device === null ? {} : { device, ...(tag === null ? {} : { tag }) }),
    vlan,
    subnet,
    gateway,
    rangeFirst,
    rangeLast,
    resolvers,
    routes,
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
  const place = placeOf(subnetOf(network), canonicalAddress(address));
  if (place === null) throw new CenoteError('not_found', `${address.slice(0, 40)} is not of network ${JSON.stringify(network.name)}, ${network.subnet}`);
  const row = await addressGet(context, db, network.id, place);
  // Of a network of several accounts one sees who one is, not who others are.
  const own = network.account === null && context.role === 'account' ? await addressList(context, db, network, { limit: 1_000_000, offset: 0 }) : [];
  const seen = network.account !== null || context.role !== 'account' || own.some((one) => one.place === place);
  return shownAddress(network, place, seen ? row : undefined);
};

export const networkReserve = (control: Control, context: RequestContext, idOrName: string, written: string, reserved: boolean): Promise<NetworkAddress> =>
  control.store.transaction(async (db) => {
    const network = await networkGet(context, db, idOrName);
    demandOwn(context, network);
    const address = canonicalAddress(written);
    const place = demandWithin('address', subnetOf(network), address);
    if (address === network.gateway) throw new CenoteError('in_use', `${address} is the gateway of network ${JSON.stringify(network.name)}`);
    await addressReserve(context, db, network.id, place, reserved);
    return shownAddress(network, place, await addressGet(context, db, network.id, place));
  });

const shownAddress = (network: StoredNetwork, place: number, row: AddressRow | undefined): NetworkAddress => {
  const address = addressAt(subnetOf(network), place);
  const managed = address === network.gateway || (row?.uplink_of ?? null) !== null || place === 0 || place === subnetOf(network).size - 1;
  const floating = (row?.account ?? null) !== null;
  return { address, reserved: row?.reserved === 1 || managed, managed, floating, machine: row?.machine ?? row?.floats_to ?? null };
};
