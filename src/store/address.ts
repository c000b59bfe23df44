/** Addresses that somebody has or that are kept free: places in a network, each once. */
import { sql } from 'kysely';
import { authorize } from './context.ts';
import type { RequestContext } from './context.ts';
import { Compiled } from './dialect/compiled.ts';
import type { Slots } from './dialect/compiled.ts';
import type { AddressRow, AddressTable } from './schema.ts';
import type { Db } from './store.ts';

export type Holder = { machine: string } | { uplinkOf: string };

const taken = new Compiled((db, { network, place }: Slots<{ network: string; place: number }>) =>
  db.selectFrom('address').select('place').where('network', '=', network).where('place', '=', place),
);

/** The lowest place at or after `from` that nobody has. */
export const addressFree = async (context: RequestContext, db: Db, network: string, from: number): Promise<number> => {
  authorize(context, 'read');
  if ((await taken.row(db, { network, place: from })) === undefined) return from;
  const gap = await db
    .selectFrom('address as one')
    .select(sql<number>`one.place + 1`.as('next'))
    .where('one.network', '=', network)
    .where('one.place', '>=', from)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('address as two')
            .select('two.place')
            .where('two.network', '=', network)
            .whereRef('two.place', '=', sql`one.place + 1`),
        ),
      ),
    )
    .orderBy('one.place')
    .limit(1)
    .executeTakeFirstOrThrow();
  return gap.next;
};

export const addressGet = async (context: RequestContext, db: Db, network: string, place: number): Promise<AddressRow | undefined> => {
  authorize(context, 'read');
  return db.selectFrom('address').selectAll().where('network', '=', network).where('place', '=', place).executeTakeFirst();
};

const claimPlace = new Compiled((db, { network, place, ...held }: Slots<Pick<AddressTable, 'network' | 'place' | 'machine' | 'uplink_of'>>) =>
  db
    .insertInto('address')
    .values({ network, place, reserved: 0, ...held })
    .onConflict((conflict) => conflict.columns(['network', 'place']).doUpdateSet(held)),
);

/** Nobody has it, though it may be reserved. */
export const addressClaim = async (context: RequestContext, db: Db, network: string, place: number, holder: Holder): Promise<void> => {
  authorize(context, 'write');
  const held = 'machine' in holder ? { machine: holder.machine, uplink_of: null } : { machine: null, uplink_of: holder.uplinkOf };
  await claimPlace.change(db, { network, place, ...held });
};

const placesOf = new Compiled((db, { machine }: Slots<{ machine: string }>) =>
  db.selectFrom('address').select(['network', 'place', 'reserved']).where('machine', '=', machine),
);
const deletePlace = new Compiled((db, { network, place }: Slots<{ network: string; place: number }>) =>
  db.deleteFrom('address').where('network', '=', network).where('place', '=', place),
);

/** What a machine has beyond the places named goes back; what is reserved stays so. */
export const addressRelease = async (
  context: RequestContext,
  db: Db,
  machine: string,
  keep: readonly Pick<AddressRow, 'network' | 'place'>[] = [],
): Promise<void> => {
  authorize(context, 'write');
  for (const { network, place, reserved } of await placesOf.rows(db, { machine })) {
    if (keep.some((one) => one.network === network && one.place === place)) continue;
    if (reserved === 0) await deletePlace.change(db, { network, place });
    else await db.updateTable('address').set({ machine: null }).where('network', '=', network).where('place', '=', place).execute();
  }
};

export const addressReserve = async (context: RequestContext, db: Db, network: string, place: number, reserved: boolean): Promise<void> => {
  authorize(context, 'write');
  await db
    .insertInto('address')
    .values({ network, place, machine: null, uplink_of: null, reserved: 1 })
    .onConflict((conflict) => conflict.columns(['network', 'place']).doUpdateSet({ reserved: reserved ? 1 : 0 }))
    .execute();
  if (reserved) return;
  await db
    .deleteFrom('address')
    .where('network', '=', network)
    .where('place', '=', place)
    .where('reserved', '=', 0)
    .where('machine', 'is', null)
    .where('uplink_of', 'is', null)
    .where('account', 'is', null)
    .execute();
};

/** In order. Of a network of several accounts each sees what is its own. */
export const addressList = async (
  context: RequestContext,
  db: Db,
  network: { id: string; account: string | null },
  page: { limit: number; offset: number },
): Promise<AddressRow[]> => {
  authorize(context, 'read');
  let query = db.selectFrom('address').selectAll().where('network', '=', network.id);
  if (network.account === null && context.role === 'account') {
    query = query.where(({ or, eb, selectFrom }) =>
      or([
        eb('account', '=', context.account),
        eb('machine', 'in', selectFrom('machine').select('id').where('account', '=', context.account)),
        eb('uplink_of', 'in', selectFrom('network').select('id').where('account', '=', context.account)),
      ]),
    );
  }
  return query.orderBy('place').limit(page.limit).offset(page.offset).execute();
};

/** Names of machines on a network, a few of them. */
export const addressMachines = async (context: RequestContext, db: Db, network: string): Promise<string[]> => {
  authorize(context, 'read');
  const rows = await db
    .selectFrom('address')
    .innerJoin('machine', 'machine.id', 'address.machine')
    .select('machine.name')
    .distinct()
    .where('address.network', '=', network)
    .orderBy('machine.name')
    .limit(4)
    .execute();
  return rows.map(({ name }) => name);
};
