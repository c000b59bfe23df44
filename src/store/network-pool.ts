/** Pools of shared networks: named lists, of which an address is taken from the first that has one. */
import type { Selectable } from 'kysely';
import { CenoteError } from '../base/errors.ts';
import { authorize } from './context.ts';
import type { RequestContext } from './context.ts';
import { networkList } from './network.ts';
import type { StoredNetwork } from './network.ts';
import type { NetworkPoolTable } from './schema.ts';
import type { Db } from './store.ts';

/** As the caller sees it: with those of its networks that they may use. */
export interface StoredPool {
  id: string;
  name: string;
  description: string;
  networks: StoredNetwork[];
  createdAt: string;
}

type Row = Selectable<NetworkPoolTable>;

const networksOf = ({ networks }: Row): string[] => JSON.parse(networks) as string[];

/** Whoever may use none of its networks sees no pool. */
const seenBy = async (context: RequestContext, db: Db, rows: readonly Row[]): Promise<StoredPool[]> => {
  if (rows.length === 0) return [];
  const usable = new Map((await networkList(context, db)).map((network) => [network.id, network]));
  const pools = rows.map((row): StoredPool => {
    const { id, name, description, created_at: createdAt } = row;
    return { id, name, description, createdAt, networks: networksOf(row).flatMap((network) => usable.get(network) ?? []) };
  });
  return context.role === 'account' ? pools.filter(({ networks }) => networks.length > 0) : pools;
};

/** By id, or by name. */
export const poolFind = async (context: RequestContext, db: Db, idOrName: string): Promise<StoredPool | undefined> => {
  authorize(context, 'read');
  const rows = await db
    .selectFrom('network_pool')
    .selectAll()
    .where((where) => where.or([where('id', '=', idOrName), where('name', '=', idOrName)]))
    .execute();
  return (await seenBy(context, db, rows))[0];
};

export const poolGet = async (context: RequestContext, db: Db, idOrName: string): Promise<StoredPool> => {
  const found = await poolFind(context, db, idOrName);
  if (found === undefined) throw new CenoteError('not_found', `there is no network pool ${JSON.stringify(idOrName.slice(0, 80))}`);
  return found;
};

export const poolList = async (context: RequestContext, db: Db): Promise<StoredPool[]> => {
  authorize(context, 'read');
  return seenBy(context, db, await db.selectFrom('network_pool').selectAll().orderBy('name').execute());
};

/** Of which a network is one, by name. */
export const poolsWith = async (context: RequestContext, db: Db, network: string): Promise<string[]> => {
  authorize(context, 'operate');
  const rows = await db.selectFrom('network_pool').selectAll().orderBy('name').execute();
  return rows.filter((row) => networksOf(row).includes(network)).map(({ name }) => name);
};

export const poolSave = async (context: RequestContext, db: Db, { id, name, description, networks, createdAt }: StoredPool): Promise<void> => {
  authorize(context, 'operate');
  const row: Row = { id, name, description, networks: JSON.stringify(networks.map((network) => network.id)), created_at: createdAt };
  const { id: _, ...changes } = row;
  await db
    .insertInto('network_pool')
    .values(row)
    .onConflict((conflict) => conflict.column('id').doUpdateSet(changes))
    .execute();
};

export const poolDelete = async (context: RequestContext, db: Db, id: string): Promise<void> => {
  authorize(context, 'operate');
  await db.deleteFrom('network_pool').where('id', '=', id).execute();
};
