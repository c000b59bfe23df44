/** Networks: the external one, which is everybody's, shared ones, which the operator makes, and those of accounts. Whoever asks sees those that they may use. */
import type { Selectable } from 'kysely';
import { CenoteError } from '../base/errors.ts';
import { externalNetwork } from '../model/nics.ts';
import type { NetworkDefinition, NetworkRoutes } from '../model/network.ts';
import { authorize } from './context.ts';
import type { RequestContext } from './context.ts';
import { Compiled } from './dialect/compiled.ts';
import type { Slots } from './dialect/compiled.ts';
import type { NetworkTable } from './schema.ts';
import type { Db } from './store.ts';

export interface StoredNetwork {
  id: string;
  /** Null: the external one, and shared ones. */
  account: string | null;
  /** Accounts that may use a shared one; none: everybody. */
  owners: string[];
  isPublic: boolean;
  vlan: number | null;
  name: string;
  description: string;
  subnet: string;
  gateway: string | null;
  /** Places that are given unasked. */
  rangeFirst: number;
  rangeLast: number;
  resolvers: string[];
  routes: NetworkRoutes;
  internetNat: boolean;
  mtu: number;
  /** Where a public one is on a wire, and its tag there. */
  device: string | null;
  tag: number | null;
  uplink: string | null;
  version: number;
  createdAt: string;
}

const storedOf = (row: Selectable<NetworkTable>): StoredNetwork => {
  const { range_first: rangeFirst, range_last: rangeLast, internet_nat: internetNat, is_public: isPublic, created_at: createdAt, ...rest } = row;
  const [resolvers, owners] = [row.resolvers, row.owners].map((text) => JSON.parse(text) as string[]) as [string[], string[]];
  return {
    ...rest,
    rangeFirst,
    rangeLast,
    createdAt,
    internetNat: internetNat !== 0,
    isPublic: isPublic !== 0,
    resolvers,
    owners,
    routes: JSON.parse(row.routes) as NetworkRoutes,
  };
};

const rowOf = ({ rangeFirst, rangeLast, createdAt, internetNat, isPublic, resolvers, owners, routes, ...rest }: StoredNetwork): NetworkTable => ({
  ...rest,
  owners: JSON.stringify(owners),
  routes: JSON.stringify(routes),
  is_public: isPublic ? 1 : 0,
  range_first: rangeFirst,
  range_last: rangeLast,
  created_at: createdAt,
  internet_nat: internetNat ? 1 : 0,
  resolvers: JSON.stringify(resolvers),
});

/** What its hosts are told of any but the external one. */
export const definitionOf = (network: StoredNetwork): NetworkDefinition => {
  const { id, account, version, subnet, gateway, resolvers, internetNat, isPublic, mtu, device, tag, uplink, routes } = network;
  if (uplink === null) throw new CenoteError('internal', 'the external network is every host’s own');
  const wire = { ...(device === null ? {} : { device }), ...(tag === null ? {} : { tag }) };
  const unusual = { ...(isPublic ? { isPublic } : {}), ...(Object.keys(routes).length > 0 ? { routes } : {}), ...wire };
  return { id, account, version, subnet, gateway, resolvers, internetNat, mtu, uplink, ...unusual };
};

/** Whether the caller's machines may be on it. */
const mayUse = ({ role, account }: RequestContext, network: StoredNetwork): boolean => {
  if (network.account !== null) return network.account === account;
  return role !== 'account' || network.owners.length === 0 || network.owners.includes(account);
};

export const networkInsert = async (context: RequestContext, db: Db, network: StoredNetwork): Promise<void> => {
  authorize(context, 'write');
  await db.insertInto('network').values(rowOf(network)).execute();
};

export const networkSave = async (context: RequestContext, db: Db, network: StoredNetwork): Promise<void> => {
  authorize(context, 'write');
  const { id, ...columns } = rowOf(network);
  await db.updateTable('network').set(columns).where('id', '=', id).execute();
};

/** Its addresses go with it, and its own on the external network. */
export const networkDelete = async (context: RequestContext, db: Db, id: string): Promise<void> => {
  authorize(context, 'write');
  await db.updateTable('account').set({ default_network: null }).where('default_network', '=', id).execute();
  await db.deleteFrom('network').where('id', '=', id).execute();
};

/** Their own, and those that may be used by several, whose owners are known only when they are read. */
const within = (context: RequestContext, db: Db) =>
  db
    .selectFrom('network')
    .selectAll()
    .where((where) => where.or([where('account', '=', context.account), where('account', 'is', null)]));

/** By id, or by name; of one name the caller's own. */
export const networkFind = async (context: RequestContext, db: Db, idOrName: string): Promise<StoredNetwork | undefined> => {
  authorize(context, 'read');
  const rows = await within(context, db)
    .where((where) => where.or([where('id', '=', idOrName), where('name', '=', idOrName)]))
    .execute();
  const found = rows.map(storedOf).filter((network) => mayUse(context, network));
  return found.find(({ account }) => account !== null) ?? found[0];
};

export const networkGet = async (context: RequestContext, db: Db, idOrName: string): Promise<StoredNetwork> => {
  const found = await networkFind(context, db, idOrName);
  if (found === undefined) throw new CenoteError('not_found', `there is no network ${JSON.stringify(idOrName.slice(0, 80))}`);
  return found;
};

const usable = new Compiled((db, { account }: Slots<{ account: string }>) =>
  db
    .selectFrom('network')
    .selectAll()
    .where((where) => where.or([where('account', '=', account), where('account', 'is', null)]))
    .orderBy('name'),
);

/** The external one first, then shared ones, then one's own. */
export const networkList = async (context: RequestContext, db: Db, vlan?: number): Promise<StoredNetwork[]> => {
  authorize(context, 'read');
  const { account } = context;
  const ofVlan = () => db.selectFrom('network').selectAll().where('vlan', '=', vlan!).where('account', '=', account).orderBy('name').execute();
  const rows = await (vlan === undefined ? usable.rows(db, { account }) : ofVlan());
  const found = rows.map(storedOf).filter((network) => mayUse(context, network));
  const placeIn = ({ id, account }: StoredNetwork): number => (id === externalNetwork ? 0 : account === null ? 1 : 2);
  return found.toSorted((one, other) => placeIn(one) - placeIn(other));
};

/** Every one that no account has for itself. */
export const networkListShared = async (context: RequestContext, db: Db): Promise<StoredNetwork[]> => {
  authorize(context, 'read');
  return (await db.selectFrom('network').selectAll().where('account', 'is', null).execute()).map(storedOf);
};

/** Its name is nobody's: accounts would take one for the other. */
export const networkNamed = async (context: RequestContext, db: Db, name: string): Promise<boolean> => {
  authorize(context, 'operate');
  return (await db.selectFrom('network').select('id').where('name', '=', name).executeTakeFirst()) !== undefined;
};

/** Everybody's of these ids. */
export const networkListByIds = async (context: RequestContext, db: Db, ids: readonly string[]): Promise<StoredNetwork[]> => {
  authorize(context, 'read');
  if (ids.length === 0) return [];
  return (await db.selectFrom('network').selectAll().where('id', 'in', ids).execute()).map(storedOf);
};

/** Of every account, for comparing with a host. */
export const networkListAll = async (context: RequestContext, db: Db): Promise<StoredNetwork[]> => {
  authorize(context, 'keep');
  return (await db.selectFrom('network').selectAll().execute()).map(storedOf);
};

/** Undefined until a host was reached for the first time. */
export const networkExternal = async (context: RequestContext, db: Db): Promise<StoredNetwork | undefined> => {
  authorize(context, 'read');
  const row = await db.selectFrom('network').selectAll().where('id', '=', externalNetwork).executeTakeFirst();
  return row === undefined ? undefined : storedOf(row);
};

/** As the host says. */
export const networkSetExternal = async (context: RequestContext, db: Db, { subnet, gateway, size }: { subnet: string; gateway: string; size: number }) => {
  authorize(context, 'keep');
  const place = { subnet, gateway, range_first: 1, range_last: size - 2 };
  const row: NetworkTable = {
    id: externalNetwork,
    account: null,
    owners: '[]',
    is_public: 0,
    vlan: null,
    name: 'default',
    description: '',
    resolvers: '[]',
    routes: '{}',
    internet_nat: 1,
    mtu: 1500,
    device: null,
    tag: null,
    uplink: null,
    version: 1,
    created_at: new Date().toISOString(),
    ...place,
  };
  await db
    .insertInto('network')
    .values(row)
    .onConflict((conflict) => conflict.column('id').doUpdateSet(place))
    .execute();
};

/** On which the account's machines are when nothing is said; null: the external one. */
export const networkDefault = async (context: RequestContext, db: Db): Promise<string | null> => {
  authorize(context, 'read');
  return (await db.selectFrom('account').select('default_network').where('id', '=', context.account).executeTakeFirst())?.default_network ?? null;
};

export const networkSetDefault = async (context: RequestContext, db: Db, id: string | null): Promise<void> => {
  authorize(context, 'write');
  await db.updateTable('account').set({ default_network: id }).where('id', '=', context.account).execute();
};
