/** Floating addresses: rows of `address` that are an account's own, attached to one of its machines or to none. */
import { CenoteError } from '../base/errors.ts';
import type { Machine } from '../model/control-api.ts';
import { addressAt, parseDestination, placeOf } from '../model/subnet.ts';
import { authorize } from './context.ts';
import type { RequestContext } from './context.ts';
import type { Db } from './store.ts';

export interface StoredFloating {
  address: string;
  network: string;
  networkName: string;
  account: string;
  machine: string | null;
  version: number;
}

const rows = (db: Db) =>
  db
    .selectFrom('address')
    .innerJoin('network', 'network.id', 'address.network')
    .select(['address.network', 'address.place', 'address.account', 'address.floats_to', 'address.version', 'network.name', 'network.subnet'])
    .where('address.account', 'is not', null);

interface Row {
  network: string;
  place: number;
  account: string | null;
  floats_to: string | null;
  version: number;
  name: string;
  subnet: string;
}

const storedOf = ({ network, place, account, floats_to: machine, version, name, subnet }: Row): StoredFloating => ({
  address: addressAt(parseDestination('subnet', subnet), place),
  network,
  networkName: name,
  account: account!,
  machine,
  version,
});

/** The account's own. */
export const floatingList = async (context: RequestContext, db: Db): Promise<StoredFloating[]> => {
  authorize(context, 'read');
  const found = await rows(db).where('address.account', '=', context.account).orderBy('network.name').orderBy('address.place').execute();
  return found.map(storedOf);
};

/** Of every account, for comparing with a host. */
export const floatingListAll = async (context: RequestContext, db: Db): Promise<StoredFloating[]> => {
  authorize(context, 'keep');
  return (await rows(db).execute()).map(storedOf);
};

export const floatingGet = async (context: RequestContext, db: Db, address: string): Promise<StoredFloating> => {
  const found = (await floatingList(context, db)).find((one) => one.address === address);
  if (found === undefined) throw new CenoteError('not_found', `there is no floating address ${address.slice(0, 40)}`);
  return found;
};

/** On a place that nobody has; the machines that it led to, and leads to, show it so. */
export const floatingInsert = async (context: RequestContext, db: Db, { address, network, account, machine, version }: StoredFloating): Promise<void> => {
  authorize(context, 'write');
  const { subnet } = await db.selectFrom('network').select('subnet').where('id', '=', network).executeTakeFirstOrThrow();
  const place = placeOf(parseDestination('subnet', subnet), address)!;
  const former = await db.selectFrom('address').select('floats_to').where('network', '=', network).where('place', '=', place).executeTakeFirst();
  const row = { account, floats_to: machine, version };
  await db
    .insertInto('address')
    .values({ network, place, machine: null, uplink_of: null, reserved: 0, ...row })
    .onConflict((conflict) => conflict.columns(['network', 'place']).doUpdateSet(row))
    .execute();
  for (const one of new Set([former?.floats_to ?? null, machine])) if (one !== null) await showAt(db, one);
};

const showAt = async (db: Db, machine: string): Promise<void> => {
  const row = await db.selectFrom('machine').select('body').where('id', '=', machine).executeTakeFirst();
  if (row === undefined) return;
  const leading = await rows(db).where('address.floats_to', '=', machine).orderBy('network.name').orderBy('address.place').execute();
  const { floating: _, ...shown } = JSON.parse(row.body) as Machine;
  const body = leading.length === 0 ? shown : { ...shown, floating: leading.map((one) => storedOf(one).address) };
  await db
    .updateTable('machine')
    .set({ body: JSON.stringify(body) })
    .where('id', '=', machine)
    .execute();
};

/** What is reserved stays so. */
export const floatingDelete = async (context: RequestContext, db: Db, { address, network }: StoredFloating): Promise<void> => {
  authorize(context, 'write');
  const { subnet } = await db.selectFrom('network').select('subnet').where('id', '=', network).executeTakeFirstOrThrow();
  const place = placeOf(parseDestination('subnet', subnet), address)!;
  await db.deleteFrom('address').where('network', '=', network).where('place', '=', place).where('reserved', '=', 0).execute();
  await db.updateTable('address').set({ account: null, floats_to: null, version: 0 }).where('network', '=', network).where('place', '=', place).execute();
};
