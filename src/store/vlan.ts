/** VLANs of an account: groups of its networks, under numbers that are its own. */
import { CenoteError } from '../base/errors.ts';
import type { Vlan } from '../model/network-api.ts';
import { authorize } from './context.ts';
import type { RequestContext } from './context.ts';
import type { Db } from './store.ts';

const counted = (context: RequestContext, db: Db) =>
  db
    .selectFrom('vlan')
    .select(['id', 'name', 'description'])
    .select(({ selectFrom, fn }) =>
      selectFrom('network')
        .select(fn.countAll<number>().as('count'))
        .whereRef('network.account', '=', 'vlan.account')
        .whereRef('network.vlan', '=', 'vlan.id')
        .as('networks'),
    )
    .where('account', '=', context.account);

const vlanOf = (row: { id: number; name: string; description: string; networks: number | null }): Vlan => ({ ...row, networks: Number(row.networks ?? 0) });

export const vlanInsert = async (context: RequestContext, db: Db, vlan: Omit<Vlan, 'networks'>): Promise<void> => {
  authorize(context, 'write');
  const taken = await db
    .selectFrom('vlan')
    .select(['id', 'name'])
    .where('account', '=', context.account)
    .where((where) => where.or([where('id', '=', vlan.id), where('name', '=', vlan.name)]))
    .executeTakeFirst();
  if (taken !== undefined)
    throw clash(taken.id === vlan.id ? 'id' : 'name', taken.id === vlan.id ? `VLAN ${vlan.id}` : `a VLAN named ${JSON.stringify(vlan.name)}`);
  await db
    .insertInto('vlan')
    .values({ account: context.account, ...vlan })
    .execute();
};

const clash = (field: string, what: string): CenoteError => {
  const message = `there is ${what} already`;
  return new CenoteError('already_exists', message, { fields: [{ field, message }] });
};

export const vlanList = async (context: RequestContext, db: Db): Promise<Vlan[]> => {
  authorize(context, 'read');
  return (await counted(context, db).orderBy('id').execute()).map(vlanOf);
};

export const vlanFind = async (context: RequestContext, db: Db, id: number): Promise<Vlan | undefined> => {
  authorize(context, 'read');
  const row = await counted(context, db).where('id', '=', id).executeTakeFirst();
  return row === undefined ? undefined : vlanOf(row);
};

export const vlanGet = async (context: RequestContext, db: Db, id: number): Promise<Vlan> => {
  const found = await vlanFind(context, db, id);
  if (found === undefined) throw new CenoteError('not_found', `there is no VLAN ${id}`);
  return found;
};

export const vlanSave = async (context: RequestContext, db: Db, { id, name, description }: Vlan): Promise<void> => {
  authorize(context, 'write');
  const other = await db
    .selectFrom('vlan')
    .select('id')
    .where('account', '=', context.account)
    .where('name', '=', name)
    .where('id', '!=', id)
    .executeTakeFirst();
  if (other !== undefined) throw clash('name', `a VLAN named ${JSON.stringify(name)}`);
  await db.updateTable('vlan').set({ name, description }).where('account', '=', context.account).where('id', '=', id).execute();
};

export const vlanDelete = async (context: RequestContext, db: Db, id: number): Promise<void> => {
  authorize(context, 'write');
  await db.deleteFrom('vlan').where('account', '=', context.account).where('id', '=', id).execute();
};
