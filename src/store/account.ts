/** Accounts: until they come as a whole, only what other rows refer to. */
import { authorize } from './context.ts';
import type { RequestContext } from './context.ts';
import type { Db } from './store.ts';

export const accountEnsure = async (context: RequestContext, db: Db, id: string): Promise<void> => {
  authorize(context, 'keep');
  await db
    .insertInto('account')
    .values({ id, name: id, created_at: new Date().toISOString() })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
};
