/** What is special about networks that the operator makes for several accounts: whose they may be, and what they may not take from anybody. */
import { CenoteError, invalid } from '../../base/errors.ts';
import type { CreateNetwork } from '../../model/network-api.ts';
import { refuseOwnDevice } from '../../model/network.ts';
import { overlaps, parseSubnet } from '../../model/subnet.ts';
import type { Subnet } from '../../model/subnet.ts';
import { accountGet, accountList } from '../../store/account.ts';
import { systemContext as system } from '../../store/context.ts';
import type { RequestContext } from '../../store/context.ts';
import { floatingListAll } from '../../store/floating.ts';
import { networkListShared, networkNamed } from '../../store/network.ts';
import type { StoredNetwork } from '../../store/network.ts';
import { poolFind, poolsWith } from '../../store/network-pool.ts';
import type { Db } from '../../store/store.ts';
import { namedBy } from './field.ts';
import { demandWithin, noMachines, refuseOverlap, refuseOwnRange } from './subnet-check.ts';

const mostShared = 1000;

export const checkSharedSubnet = (asked: CreateNetwork): Subnet => {
  const { subnet: cidr, gateway, vlan, public: isPublic = false } = asked;
  const subnet = parseSubnet('subnet', cidr);
  const wrong = noMachines.find((one) => overlaps(one, subnet));
  if (wrong !== undefined) throw invalid('subnet', `${cidr} overlaps ${wrong.cidr}, which machines have no addresses of`);
  refuseOwnRange(subnet);
  if (vlan !== undefined)
    throw invalid('vlan', 'a shared network is of no VLAN', 'VLANs are groups of an account’s own networks; the tag on a wire is said with --device and --tag');
  if (isPublic && gateway === null) throw invalid('gateway', 'a public network leads outside, and so has a gateway');
  if (gateway !== undefined && gateway !== null) demandWithin('gateway', subnet, gateway);
  refuseWire(subnet, asked);
  return subnet;
};

/** What a wire would be of no use to. */
const refuseWire = ({ cidr, family }: Subnet, { device, tag, public: isPublic = false }: CreateNetwork): void => {
  if (device === undefined && tag !== undefined) throw invalid('tag', 'is of a wire, and there is none without a device', 'name it with --device');
  if (device === undefined) return;
  refuseOwnDevice(device);
  if (!isPublic)
    throw invalid('device', 'is where the addresses of a public network are outside; this one is hidden behind the host', 'operators make one with --public');
  if (family === 6) throw invalid('device', `${cidr} is of IPv6; only networks of IPv4 are on wires`, 'the network outside has to lead it to this host');
};

export const refuseShared = async (context: RequestContext, db: Db, subnet: Subnet, asked: CreateNetwork): Promise<void> => {
  const others = await networkListShared(context, db);
  if (others.length >= mostShared) throw new CenoteError('over_quota', `there are ${others.length} networks, and ${mostShared} is the most`);
  refuseOverlap(subnet, asked.subnet, others);
  await refuseSharedName(context, db, asked.name);
};

/** Of networks of every account, and of pools. */
export const refuseSharedName = async (context: RequestContext, db: Db, name: string): Promise<void> => {
  const pool = await poolFind(context, db, name);
  if (pool === undefined && !(await networkNamed(context, db, name))) return;
  const message = `there is already a network ${pool === undefined ? '' : 'pool '}named ${JSON.stringify(name)}`;
  throw new CenoteError('already_exists', message, { fields: [{ field: 'name', message }] });
};

export const refusePooled = async (context: RequestContext, db: Db, { id, name }: StoredNetwork): Promise<void> => {
  const pools = await poolsWith(context, db, id);
  if (pools.length === 0) return;
  throw new CenoteError('in_use', `network ${JSON.stringify(name)} is in the network pool ${pools.map((pool) => JSON.stringify(pool)).join(', ')}`);
};

export const refuseFloating = async (db: Db, { id, name }: StoredNetwork): Promise<void> => {
  const floating = (await floatingListAll(system, db)).filter(({ network }) => network === id).map(({ address }) => address);
  if (floating.length === 0) return;
  const more = floating.length > 3 ? ' and others' : '';
  throw new CenoteError('in_use', `network ${JSON.stringify(name)} has floating addresses: ${floating.slice(0, 3).join(', ')}${more}`);
};

/** Their ids. */
export const ownersOf = async (context: RequestContext, db: Db, asked: readonly string[]): Promise<string[]> => {
  const ids = new Set<string>();
  for (const owner of asked) ids.add((await namedBy('owners', () => accountGet(context, db, owner))).id);
  return [...ids];
};

/** What accounts are called, for whoever may know; an owner that is gone is its id. */
export type OwnerNames = ReadonlyMap<string, string> | undefined;

export const ownerNames = async (context: RequestContext, db: Db, networks: readonly StoredNetwork[]): Promise<OwnerNames> => {
  if (context.role === 'account') return undefined;
  if (networks.every(({ owners }) => owners.length === 0)) return new Map();
  return new Map((await accountList(context, db)).map(({ id, name }) => [id, name]));
};
