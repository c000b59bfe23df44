/** What deleted machines were, for a while: whoever waits for a machine to be gone is told so, and not that there never was one. */
import type { Machine } from '../model/control-api.ts';
import { authorize } from './context.ts';
import type { RequestContext } from './context.ts';
import { Compiled } from './dialect/compiled.ts';
import type { Slots } from './dialect/compiled.ts';
import type { DeletedMachineTable } from './schema.ts';
import type { Db } from './store.ts';

export interface DeletedMachine {
  machine: Machine;
  deletedAt: string;
}

const insertRow = new Compiled((db, row: Slots<DeletedMachineTable>) =>
  db
    .insertInto('deleted_machine')
    .values(row)
    .onConflict((conflict) => conflict.doNothing()),
);

export const deletedMachineInsert = async (context: RequestContext, db: Db, machine: Machine, deletedAt: string): Promise<void> => {
  authorize(context, 'keep');
  await insertRow.change(db, { id: machine.id, account: machine.account, body: JSON.stringify(machine), deleted_at: deletedAt });
};

const found = new Compiled((db, { id }: Slots<{ id: string }>) =>
  db.selectFrom('deleted_machine').select(['account', 'body', 'deleted_at']).where('id', '=', id),
);

export const deletedMachineFind = async (context: RequestContext, db: Db, id: string): Promise<DeletedMachine | undefined> => {
  authorize(context, 'read');
  const row = await found.row(db, { id });
  const isTheirs = row !== undefined && (context.role === 'system' || row.account === context.account);
  return !isTheirs ? undefined : { machine: JSON.parse(row.body) as Machine, deletedAt: row.deleted_at };
};

/** The newest first. */
export const deletedMachineList = async (context: RequestContext, db: Db, limit: number): Promise<DeletedMachine[]> => {
  authorize(context, 'read');
  const rows = await db
    .selectFrom('deleted_machine')
    .select(['body', 'deleted_at'])
    .where('account', '=', context.account)
    .orderBy('deleted_at', 'desc')
    .limit(limit)
    .execute();
  return rows.map((row) => ({ machine: JSON.parse(row.body) as Machine, deletedAt: row.deleted_at }));
};

export const deletedMachineTrim = async (context: RequestContext, db: Db, before: string): Promise<void> => {
  authorize(context, 'keep');
  await db.deleteFrom('deleted_machine').where('deleted_at', '<', before).execute();
};
