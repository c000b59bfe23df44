/** Images that accounts have made: whose they are, and what is said of them. Their content is the hosts'. */
import { CenoteError } from '../base/errors.ts';
import { authorize } from './context.ts';
import type { RequestContext } from './context.ts';
import type { ImageTable } from './schema.ts';
import type { Db } from './store.ts';

export interface ImageAbout {
  description?: string | undefined;
  homepage?: string | undefined;
  eula?: string | undefined;
  tags: Record<string, string | number | boolean>;
  /** Accounts, by id, that may use it too. */
  acl: string[];
}

export interface OwnedImage {
  id: string;
  account: string;
  name: string;
  version: string;
  about: ImageAbout;
  /** Why it could not be made. */
  error: string | null;
  createdAt: string;
}

const imageOf = (row: ImageTable): OwnedImage => ({
  id: row.id,
  account: row.account,
  name: row.name,
  version: row.version,
  about: JSON.parse(row.about) as ImageAbout,
  error: row.error,
  createdAt: row.created_at,
});

export const ownedImageInsert = async (context: RequestContext, db: Db, image: OwnedImage): Promise<void> => {
  authorize(context, 'write');
  const { id, account, name, version, about, error, createdAt } = image;
  await db
    .insertInto('image')
    .values({ id, account, name, version, about: JSON.stringify(about), error, created_at: createdAt })
    .execute();
};

export const ownedImageSave = async (context: RequestContext, db: Db, image: OwnedImage): Promise<void> => {
  authorize(context, 'write');
  const { id, name, version, about, error } = image;
  await db
    .updateTable('image')
    .set({ name, version, about: JSON.stringify(about), error })
    .where('id', '=', id)
    .where('account', '=', image.account)
    .execute();
};

/** Why it could not be made. */
export const ownedImageFail = async (context: RequestContext, db: Db, id: string, error: string): Promise<void> => {
  authorize(context, 'keep');
  await db.updateTable('image').set({ error }).where('id', '=', id).execute();
};

/** All of all accounts: who may see which is decided by whoever asks. */
export const ownedImageList = async (context: RequestContext, db: Db): Promise<OwnedImage[]> => {
  authorize(context, 'keep');
  return (await db.selectFrom('image').selectAll().orderBy('name').orderBy('created_at').execute()).map(imageOf);
};

/** The caller's own. */
export const ownedImageGet = async (context: RequestContext, db: Db, id: string): Promise<OwnedImage> => {
  authorize(context, 'read');
  const row = await db.selectFrom('image').selectAll().where('id', '=', id).where('account', '=', context.account).executeTakeFirst();
  if (row === undefined) throw new CenoteError('not_found', 'there is no such image of yours');
  return imageOf(row);
};

export const ownedImageDelete = async (context: RequestContext, db: Db, id: string): Promise<void> => {
  authorize(context, 'write');
  await db.deleteFrom('image').where('id', '=', id).where('account', '=', context.account).execute();
};
