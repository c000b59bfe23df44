/** Accounts. The operator makes them; an account sees and changes only itself. */
import { CenoteError } from '../base/errors.ts';
import type { Account, AccountProfile, AccountQuota } from '../model/account.ts';
import { accountOf } from './account-rows.ts';
import { authorize, demandOwn } from './context.ts';
import type { RequestContext } from './context.ts';
import { Compiled } from './dialect/compiled.ts';
import type { Slots } from './dialect/compiled.ts';
import type { Db } from './store.ts';

/** One that machines found on a host belong to. */
export const accountEnsure = async (context: RequestContext, db: Db, id: string): Promise<void> => {
  authorize(context, 'keep');
  const now = new Date().toISOString();
  await db
    .insertInto('account')
    .values({ id, name: id, profile: '{}', quota: '{}', names_enabled: 1, created_at: now, updated_at: now, disabled_at: null, default_network: null })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
};

export const accountCreate = async (context: RequestContext, db: Db, account: Account): Promise<Account> => {
  authorize(context, 'operate');
  const taken = await db.selectFrom('account').select('id').where('name', '=', account.name).executeTakeFirst();
  if (taken !== undefined) {
    const message = `there is already an account named ${JSON.stringify(account.name)}`;
    throw new CenoteError('already_exists', message, { fields: [{ field: 'name', message }] });
  }
  await db
    .insertInto('account')
    .values({
      id: account.id,
      name: account.name,
      profile: JSON.stringify(account.profile),
      quota: JSON.stringify(account.quota),
      names_enabled: account.namesEnabled ? 1 : 0,
      created_at: account.createdAt,
      updated_at: account.updatedAt,
      disabled_at: account.disabledAt,
      default_network: null,
    })
    .execute();
  return account;
};

interface Sought {
  idOrName: string;
}

const anybody = new Compiled((db, { idOrName }: Slots<Sought>) =>
  db
    .selectFrom('account')
    .selectAll()
    .where(({ or, eb }) => or([eb('id', '=', idOrName), eb('name', '=', idOrName)])),
);
const oneself = new Compiled((db, { idOrName, own }: Slots<Sought & { own: string }>) =>
  db
    .selectFrom('account')
    .selectAll()
    .where('id', '=', own)
    .where(({ or, eb }) => or([eb('id', '=', idOrName), eb('name', '=', idOrName)])),
);

/** By id or name; undefined too for one that the caller may not see. */
export const accountFind = async (context: RequestContext, db: Db, idOrName: string): Promise<Account | undefined> => {
  authorize(context, 'read');
  const row = await (context.role === 'account' ? oneself.row(db, { idOrName, own: context.account }) : anybody.row(db, { idOrName }));
  return row === undefined ? undefined : accountOf(row);
};

export const accountGet = async (context: RequestContext, db: Db, idOrName: string): Promise<Account> => {
  authorize(context, 'read');
  const found = await accountFind(context, db, idOrName);
  if (found === undefined) throw new CenoteError('not_found', `there is no account ${JSON.stringify(idOrName.slice(0, 80))}`);
  return found;
};

export const accountList = async (context: RequestContext, db: Db): Promise<Account[]> => {
  authorize(context, 'operate');
  return (await db.selectFrom('account').selectAll().orderBy('name').execute()).map(accountOf);
};

export const accountSetProfile = async (context: RequestContext, db: Db, id: string, profile: AccountProfile, updatedAt: string): Promise<void> => {
  authorize(context, 'write');
  demandOwn(context, id);
  await db
    .updateTable('account')
    .set({ profile: JSON.stringify(profile), updated_at: updatedAt })
    .where('id', '=', id)
    .execute();
};

export const accountSetQuota = async (context: RequestContext, db: Db, id: string, quota: AccountQuota, updatedAt: string): Promise<void> => {
  authorize(context, 'operate');
  await db
    .updateTable('account')
    .set({ quota: JSON.stringify(quota), updated_at: updatedAt })
    .where('id', '=', id)
    .execute();
};

export const accountSetDisabled = async (context: RequestContext, db: Db, id: string, disabledAt: string | null): Promise<void> => {
  authorize(context, 'operate');
  await db.updateTable('account').set({ disabled_at: disabledAt }).where('id', '=', id).execute();
};

export const accountSetNamesEnabled = async (context: RequestContext, db: Db, id: string, enabled: boolean, updatedAt: string): Promise<void> => {
  authorize(context, 'write');
  demandOwn(context, id);
  await db
    .updateTable('account')
    .set({ names_enabled: enabled ? 1 : 0, updated_at: updatedAt })
    .where('id', '=', id)
    .execute();
};

/** Its keys go with it; one that has machines stays. */
export const accountDelete = async (context: RequestContext, db: Db, id: string): Promise<void> => {
  authorize(context, 'operate');
  const machine = await db.selectFrom('machine').select('name').where('account', '=', id).limit(1).executeTakeFirst();
  if (machine !== undefined) throw new CenoteError('in_use', `the account has machines, such as ${JSON.stringify(machine.name)}`);
  const image = await db.selectFrom('image').select('name').where('account', '=', id).limit(1).executeTakeFirst();
  if (image !== undefined) throw new CenoteError('in_use', `the account has images, such as ${JSON.stringify(image.name)}`);
  await db.deleteFrom('set_aside').where('holder', '=', id).execute();
  await db.deleteFrom('account').where('id', '=', id).execute();
};
