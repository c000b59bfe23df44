/** Packages: named resources, the same for every account. A version never changes; the newest is what the name alone means. */
import { CenoteError } from '../base/errors.ts';
import { packageRefPattern } from '../model/names.ts';
import type { Package, Resources } from '../model/resources.ts';
import { authorize } from './context.ts';
import type { RequestContext } from './context.ts';
import type { PackageVersionTable } from './schema.ts';
import type { Db } from './store.ts';

const packageOf = (row: PackageVersionTable): Package => ({
  name: row.name,
  version: row.version,
  resources: JSON.parse(row.resources) as Resources,
  createdAt: row.created_at,
});

const reference = new RegExp(packageRefPattern);

/** What is no reference names no package. */
const parseRef = (text: string): { name: string; version: number | undefined } => {
  if (!reference.test(text)) throw unknown(text);
  const [name, version] = text.split('@');
  return { name: name!, version: version === undefined ? undefined : Number(version) };
};

const unknown = (text: string): CenoteError => new CenoteError('not_found', `there is no package ${JSON.stringify(text.slice(0, 80))}`);

/** The first version of a name that there is not yet. */
export const packageCreate = async (context: RequestContext, db: Db, made: Omit<Package, 'version'>): Promise<Package> => {
  authorize(context, 'operate');
  const known = await db.selectFrom('package_version').select('version').where('name', '=', made.name).executeTakeFirst();
  if (known !== undefined) {
    const message = `there is already a package named ${JSON.stringify(made.name)}`;
    throw new CenoteError('already_exists', message, {
      fields: [{ field: 'name', message }],
      advice: `make its next version: cenote package update ${made.name}`,
    });
  }
  return insert(db, { ...made, version: 1 });
};

/** The version after the newest. */
export const packageAppend = async (context: RequestContext, db: Db, made: Package): Promise<Package> => {
  authorize(context, 'operate');
  return insert(db, made);
};

const insert = async (db: Db, made: Package): Promise<Package> => {
  const { name, version, resources, createdAt } = made;
  await db
    .insertInto('package_version')
    .values({ name, version, resources: JSON.stringify(resources), created_at: createdAt })
    .execute();
  return made;
};

/** `NAME` or `NAME@VERSION`. */
export const packageGet = async (context: RequestContext, db: Db, text: string): Promise<Package> => {
  authorize(context, 'read');
  const { name, version } = parseRef(text);
  let query = db.selectFrom('package_version').selectAll().where('name', '=', name);
  if (version !== undefined) query = query.where('version', '=', version);
  const row = await query.orderBy('version', 'desc').limit(1).executeTakeFirst();
  if (row === undefined) throw unknown(text);
  return packageOf(row);
};

/** By name; every version, newest first, or only the newest. */
export const packageList = async (context: RequestContext, db: Db, versions: boolean): Promise<Package[]> => {
  authorize(context, 'read');
  const rows = await db.selectFrom('package_version').selectAll().orderBy('name').orderBy('version', 'desc').execute();
  return rows.filter((row, index) => versions || rows[index - 1]?.name !== row.name).map(packageOf);
};

/** `NAME@VERSION`, or `NAME` for all of its versions; none that a machine has. */
export const packageDelete = async (context: RequestContext, db: Db, text: string): Promise<void> => {
  authorize(context, 'operate');
  const { name, version } = parseRef(text);
  let users = db.selectFrom('machine').select('name').where('package', '=', name);
  let gone = db.deleteFrom('package_version').where('name', '=', name);
  if (version !== undefined) {
    users = users.where('package_version', '=', version);
    gone = gone.where('version', '=', version);
  }
  const machines = (await users.orderBy('name').limit(4).execute()).map((row) => row.name);
  if (machines.length > 0) {
    const shown = machines.length > 3 ? `${machines.slice(0, 3).join(', ')} and others` : machines.join(', ');
    throw new CenoteError('in_use', `package ${text} is what ${shown} ${machines.length === 1 ? 'has' : 'have'}`, {
      advice: 'give them another first: cenote resize NAME --package PACKAGE',
    });
  }
  const { numDeletedRows } = await gone.executeTakeFirst();
  if (numDeletedRows === 0n) throw unknown(text);
};
