/** Single values of the control plane's own. */
import { authorize } from './context.ts';
import type { RequestContext } from './context.ts';
import { Compiled } from './dialect/compiled.ts';
import type { Slots } from './dialect/compiled.ts';
import type { MetaTable } from './schema.ts';
import type { Db } from './store.ts';

/** `agent.sequence`: number of the last agent event taken over. `dns.serial`: no version of a zone has had this number or a higher one. */
export type MetaKey = 'agent.sequence' | 'dns.serial';

export const metaGet = async (context: RequestContext, db: Db, key: MetaKey): Promise<string | undefined> => {
  authorize(context, 'read');
  return (await db.selectFrom('meta').select('value').where('key', '=', key).executeTakeFirst())?.value;
};

const setRow = new Compiled((db, { key, value }: Slots<MetaTable>) =>
  db
    .insertInto('meta')
    .values({ key, value })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value })),
);

export const metaSet = async (context: RequestContext, db: Db, key: MetaKey, value: string): Promise<void> => {
  authorize(context, 'keep');
  await setRow.change(db, { key, value });
};
