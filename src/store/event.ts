/** Events in the order the control plane recorded them. A bounded number is kept. */
import { sql } from 'kysely';
import type { Event } from '../model/event.ts';
import { authorize } from './context.ts';
import type { RequestContext } from './context.ts';
import { Compiled } from './dialect/compiled.ts';
import type { Slots } from './dialect/compiled.ts';
import type { EventTable } from './schema.ts';
import type { Db } from './store.ts';

export type NewEvent = Omit<Event, 'sequence'> & { account: string | null };

const insertRow = new Compiled((db, row: Slots<Omit<EventTable, 'sequence'>>) => db.insertInto('event').values(row));

export const eventAppend = async (context: RequestContext, db: Db, events: readonly NewEvent[]): Promise<void> => {
  authorize(context, 'keep');
  for (const { account, at, type, subject, message, detail } of events) {
    await insertRow.change(db, { account, at, type, subject, message, detail: JSON.stringify(detail) });
  }
};

/** Those of the caller's account, and for the operator those of none (images, platforms, the host), numbered above `after`; of one subject if asked. */
export const eventList = async (context: RequestContext, db: Db, after: number, limit: number, subject?: string): Promise<Event[]> => {
  authorize(context, 'read');
  let query = db
    .selectFrom('event')
    .selectAll()
    .where('sequence', '>', after)
    .where(({ or, eb }) => or([eb('account', '=', context.account), ...(context.role === 'account' ? [] : [eb('account', 'is', null)])]))
    .orderBy('sequence')
    .limit(limit);
  if (subject !== undefined) query = query.where('subject', '=', subject);
  const rows = await query.execute();
  return rows.map(({ account: _, detail, ...event }) => ({ ...event, detail: JSON.parse(detail) as Record<string, unknown> }));
};

export const eventLast = async (context: RequestContext, db: Db): Promise<number> => {
  authorize(context, 'read');
  const row = await db
    .selectFrom('event')
    .select(sql<number | null>`max(sequence)`.as('last'))
    .executeTakeFirstOrThrow();
  return row.last ?? 0;
};

export const eventTrim = async (context: RequestContext, db: Db, upTo: number): Promise<void> => {
  authorize(context, 'keep');
  await db.deleteFrom('event').where('sequence', '<=', upTo).execute();
};
