/** Packages: named resources, the same for every account. */
import { CenoteError } from '../base/errors.ts';
import type { Package, Resources } from '../model/resources.ts';
import { authorize } from './context.ts';
import type { RequestContext } from './context.ts';
import type { Db } from './store.ts';

export const packageCreate = async (context: RequestContext, db: Db, made: Package): Promise<void> => {
  authorize(context, 'write');
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('package')
    .values({ name: made.name, resources: JSON.stringify(made.resources), created_at: made.createdAt })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  if (numInsertedOrUpdatedRows === 1n) return;
  const message = `there is already a package named ${JSON.stringify(made.name)}`;
  throw new CenoteError('already_exists', message, { fields: [{ field: 'name', message }] });
};

export const packageGet = async (context: RequestContext, db: Db, name: string): Promise<Package> => {
  authorize(context, 'read');
  const row = await db.selectFrom('package').selectAll().where('name', '=', name).executeTakeFirst();
  if (row === undefined) throw new CenoteError('not_found', `there is no package ${JSON.stringify(name.slice(0, 80))}`);
  return { name: row.name, resources: JSON.parse(row.resources) as Resources, createdAt: row.created_at };
};

export const packageList = async (context: RequestContext, db: Db): Promise<Package[]> => {
  authorize(context, 'read');
  const rows = await db.selectFrom('package').selectAll().orderBy('name').execute();
  return rows.map((row) => ({ name: row.name, resources: JSON.parse(row.resources) as Resources, createdAt: row.created_at }));
};

/** Machines keep the resources they took from it. */
export const packageDelete = async (context: RequestContext, db: Db, name: string): Promise<void> => {
  authorize(context, 'write');
  const { numDeletedRows } = await db.deleteFrom('package').where('name', '=', name).executeTakeFirst();
  if (numDeletedRows === 0n) throw new CenoteError('not_found', `there is no package ${JSON.stringify(name.slice(0, 80))}`);
};
