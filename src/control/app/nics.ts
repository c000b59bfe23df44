/** On which networks a machine is, and with which addresses: chosen when it is asked for, in the transaction that takes them. */
import { CenoteError, invalid } from '../../base/errors.ts';
import type { Accepted, Machine } from '../../model/control-api.ts';
import { canonicalAddress, familyOf } from '../../model/address.ts';
import { macOf } from '../../model/mac.ts';
import { mostAddresses, mostNics, subnetOf } from '../../model/network.ts';
import { addressesOf, externalNetwork, nicsOf, withMore, withNic, withPrimary } from '../../model/nics.ts';
import type { Nic } from '../../model/network.ts';
import type { AddressWish, MachineNic, NicWish } from '../../model/network-api.ts';
import { netmaskOf, overlaps, placeOf } from '../../model/subnet.ts';
import { addressClaim } from '../../store/address.ts';
import type { RequestContext } from '../../store/context.ts';
import { floatingList } from '../../store/floating.ts';
import type { StoredJob } from '../../store/job.ts';
import { machineGet } from '../../store/machine.ts';
import { networkDefault, networkFind, networkGet, networkList, networkListByIds } from '../../store/network.ts';
import type { StoredNetwork } from '../../store/network.ts';
import { poolFind } from '../../store/network-pool.ts';
import type { Db } from '../../store/store.ts';
import type { Control } from '../control.ts';
import type { JobRequests } from '../jobs/request.ts';
import { acceptAction } from './accept.ts';
import { demandAddress } from './address-book.ts';
import { namedBy } from './field.ts';
import { chooseOfPool } from './network-pool.ts';

export interface ChosenNics {
  nics: Nic[];
  address: string;
  /** After the machine is in the store. */
  claim: (db: Db) => Promise<void>;
}

/** None asked for: one, on the account's default network. */
export const chooseNics = async (
  { addresses, link }: Pick<Control, 'addresses' | 'link'>,
  context: RequestContext,
  db: Db,
  machine: string,
  asked: readonly NicWish[] | undefined,
): Promise<ChosenNics> => {
  const wishes = asked ?? [{ network: (await networkDefault(context, db)) ?? externalNetwork }];
  if (wishes.length === 0) throw invalid('networks', 'a machine has at least one NIC');
  if (wishes.length > mostNics) throw invalid('networks', `${wishes.length} NICs are too many: ${mostNics} is the most`);
  const networks: StoredNetwork[] = [];
  for (const wish of wishes)
    networks.push(
      await placeFor(
        { addresses, link },
        context,
        db,
        'networks',
        wish,
        networks.map(({ id }) => id),
      ),
    );
  refuseAlike('networks', networks);
  const twice = networks.find(({ id }, at) => networks.findIndex((other) => other.id === id) !== at);
  if (twice !== undefined) throw invalid('networks', `network ${JSON.stringify(twice.name)} is named twice; a machine has one NIC on each`);
  const primaries = wishes.filter(({ primary }) => primary === true);
  if (primaries.length > 1) throw invalid('networks', `${primaries.length} NICs are to be primary; one can be`);
  const primary = primaries.length === 0 ? 0 : wishes.indexOf(primaries[0]!);
  const nics: Nic[] = [];
  for (const [at, network] of networks.entries()) {
    const address = await chooseAddress({ addresses }, context, db, network, wishes[at]!.address);
    nics.push({ network: network.id, address, index: at, primary: at === primary });
  }
  return {
    nics: externalFirst(nics),
    address: nics[primary]!.address,
    claim: async (inTransaction) => {
      for (const [at, network] of networks.entries())
        await addressClaim(context, inTransaction, network.id, placeOf(subnetOf(network), nics[at]!.address)!, { machine });
    },
  };
};

/** The network, or that one of a pool which has an address to give. */
const placeFor = async (
  { addresses, link }: Pick<Control, 'addresses' | 'link'>,
  context: RequestContext,
  db: Db,
  field: string,
  wish: NicWish,
  had: readonly string[],
): Promise<StoredNetwork> => {
  if (wish.network === externalNetwork) return link.external;
  const network = await networkFind(context, db, wish.network);
  if (network !== undefined) return network;
  const pool = await poolFind(context, db, wish.network);
  if (pool === undefined) return namedBy(field, () => networkGet(context, db, wish.network), { advice: 'see what there is: cenote network ls' });
  return chooseOfPool({ addresses }, context, db, field, pool, wish.address, had);
};

/** What a machine sends to an address goes to one network. */
const refuseAlike = (field: string, networks: readonly StoredNetwork[]): void => {
  for (const [at, one] of networks.entries()) {
    const other = networks.slice(0, at).find((former) => former.id !== one.id && overlaps(subnetOf(former), subnetOf(one)));
    if (other === undefined) continue;
    const [first, second] = [other, one].map(({ name, subnet }) => `${JSON.stringify(name)}, ${subnet},`) as [string, string];
    throw invalid(field, `networks ${first} and ${second} overlap; a machine is on one of them`);
  }
};

const chooseAddress = async (
  { addresses }: Pick<Control, 'addresses'>,
  context: RequestContext,
  db: Db,
  network: StoredNetwork,
  asked: string | undefined,
): Promise<string> => {
  if (asked === undefined) return addresses.choose(context, db, network);
  const address = canonicalAddress(asked);
  await demandAddress(context, db, network, address);
  return address;
};

/** The link that a host has ready is one on the external network, and is the first. */
const externalFirst = (nics: Nic[]): Nic[] => {
  const ordered = [...nics.filter(({ network }) => network === externalNetwork), ...nics.filter(({ network }) => network !== externalNetwork)];
  return ordered.map((nic, index) => ({ ...nic, index }));
};

/** What a specification says of them: nothing, when there is only what every machine has. */
export const nicsInSpec = (nics: readonly Nic[]): { nics?: Nic[] } =>
  nics.length === 1 && nics[0]!.network === externalNetwork && nics[0]!.index === 0 ? {} : { nics: [...nics] };

/** As they will be when what waits is done. */
const expectedNics = (machine: Machine, pending: readonly StoredJob[]): Nic[] => {
  let nics = [...nicsOf(machine)];
  for (const { job, request } of pending) {
    if (job.action === 'nic.add') nics = withNic(nics, (request as JobRequests['nic.add']).nic);
    if (job.action === 'nic.primary') nics = withPrimary(nics, (request as JobRequests['nic.primary']).network);
    if (job.action === 'address.add') nics = added(nics, request as JobRequests['address.add']);
    if (job.action === 'address.remove') nics = removed(nics, request as JobRequests['address.remove']);
    if (job.action === 'nic.remove') nics = nics.filter(({ network }) => network !== (request as JobRequests['nic.remove']).network);
  }
  return nics;
};

const added = (nics: readonly Nic[], { network, address }: Pick<Nic, 'network' | 'address'>): Nic[] => withMore(nics, network, (more) => [...more, address]);
const removed = (nics: readonly Nic[], { network, address }: Pick<Nic, 'network' | 'address'>): Nic[] =>
  withMore(nics, network, (more) => more.filter((one) => one !== address));

export const machineNicAdd = (control: Control, context: RequestContext, id: string, wish: NicWish): Promise<Accepted> =>
  acceptAction(control, context, id, 'nic.add', async (db, { machine }, pending) => {
    const had = expectedNics(machine, pending);
    const on = had.map((nic) => nic.network);
    const network = await placeFor(control, context, db, 'network', wish, on);
    if (on.includes(network.id))
      throw new CenoteError('already_exists', `machine ${JSON.stringify(machine.name)} has a NIC on network ${JSON.stringify(network.name)}`);
    if (had.length >= mostNics)
      throw new CenoteError('over_quota', `machine ${JSON.stringify(machine.name)} has ${had.length} NICs, and ${mostNics} is the most`);
    refuseAlike('network', [...(await networkListByIds(context, db, on)), network]);
    const address = await chooseAddress(control, context, db, network, wish.address);
    if (wish.primary === true) await refuseFloating(context, db, machine, address);
    const taken = new Set(had.map(({ index }) => index));
    const index = Array.from({ length: mostNics }, (_, at) => at).find((at) => !taken.has(at))!;
    await addressClaim(context, db, network.id, placeOf(subnetOf(network), address)!, { machine: machine.id });
    return { nic: { network: network.id, address, index, primary: wish.primary ?? false } };
  });

/** Its gateway is the way everywhere, and ports are published at it, in place of the former's. */
export const machineNicMakePrimary = (control: Control, context: RequestContext, id: string, mac: string): Promise<Accepted> =>
  acceptAction(control, context, id, 'nic.primary', async (db, { machine }, pending) => {
    const nic = demandNic(machine, expectedNics(machine, pending), mac);
    if (nic.primary) throw new CenoteError('wrong_state', `${nic.address} is the primary NIC of machine ${JSON.stringify(machine.name)} already`);
    await refuseFloating(context, db, machine, nic.address);
    return { network: nic.network };
  });

export const machineNicRemove = (control: Control, context: RequestContext, id: string, mac: string): Promise<Accepted> =>
  acceptAction(control, context, id, 'nic.remove', (_db, { machine }, pending) => {
    const nic = demandNic(machine, expectedNics(machine, pending), mac);
    if (nic.primary)
      throw new CenoteError('wrong_state', `${nic.address} is the primary NIC of machine ${JSON.stringify(machine.name)}`, {
        advice: 'let another be primary first: cenote nic primary NAME NETWORK',
      });
    return { network: nic.network };
  });

/** A floating address, which is of IPv4, leads to the primary one. */
const refuseFloating = async (context: RequestContext, db: Db, machine: Machine, address: string): Promise<void> => {
  const floating = familyOf(address) === 4 ? undefined : (await floatingList(context, db)).find((one) => one.machine === machine.id);
  if (floating === undefined) return;
  throw invalid(
    'primary',
    `machine ${JSON.stringify(machine.name)} has the floating address ${floating.address}, and its primary network would be of IPv6`,
    'detach it first',
  );
};

const demandNic = (machine: Machine, nics: readonly Nic[], mac: string): Nic => {
  const nic = nics.find(({ address }) => samePlace(macOf(address), mac));
  if (nic === undefined) throw new CenoteError('not_found', `machine ${JSON.stringify(machine.name)} has no NIC ${mac.slice(0, 40)}`);
  return nic;
};

/** One more address on a NIC, the one asked for or the next of its network. */
export const machineAddressAdd = (control: Control, context: RequestContext, id: string, mac: string, asked: AddressWish): Promise<Accepted> =>
  acceptAction(control, context, id, 'address.add', async (db, { machine }, pending) => {
    const nic = demandNic(machine, expectedNics(machine, pending), mac);
    const had = addressesOf(nic).length;
    if (had >= mostAddresses) throw new CenoteError('over_quota', `NIC ${macOf(nic.address)} has ${had} addresses, and ${mostAddresses} is the most`);
    const network = nic.network === externalNetwork ? control.link.external : await networkGet(context, db, nic.network);
    const address = await chooseAddress(control, context, db, network, asked.address);
    await addressClaim(context, db, network.id, placeOf(subnetOf(network), address)!, { machine: machine.id });
    return { network: network.id, address };
  });

export const machineAddressRemove = (control: Control, context: RequestContext, id: string, mac: string, written: string): Promise<Accepted> =>
  acceptAction(control, context, id, 'address.remove', (_db, { machine }, pending) => {
    const address = canonicalAddress(written);
    const nic = demandNic(machine, expectedNics(machine, pending), mac);
    if (nic.address === address)
      throw new CenoteError('wrong_state', `${address} is what NIC ${macOf(address)} is known by`, { advice: 'remove the NIC, or another of its addresses' });
    if (nic.more?.includes(address) !== true) throw new CenoteError('not_found', `NIC ${macOf(nic.address)} has no address ${address.slice(0, 40)}`);
    return { network: nic.network, address };
  });

const samePlace = (one: string, other: string): boolean => one.replaceAll(':', '') === other.toLowerCase().replaceAll(':', '');

export const machineNics = async (control: Control, context: RequestContext, id: string): Promise<MachineNic[]> => {
  const { machine } = await machineGet(context, control.store.db, id);
  const networks = new Map((await networkList(context, control.store.db)).map((network) => [network.id, network]));
  return nicsOf(machine).map((nic) => shownNic(machine, nic, networks.get(nic.network)));
};

const shownNic = (machine: Machine, nic: Nic, network: StoredNetwork | undefined): MachineNic => ({
  ...nic,
  mac: macOf(nic.address),
  networkName: network?.name ?? '',
  gateway: network?.gateway ?? null,
  netmask: network === undefined ? '255.255.255.255' : netmaskOf(subnetOf(network)),
  state: nicState(machine),
});

export const nicState = ({ state }: Pick<Machine, 'state'>): MachineNic['state'] => (state === 'running' || state === 'provisioning' ? state : 'stopped');
