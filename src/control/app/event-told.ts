/** What an account is told of an event: not which machine of another's was in the way of its own. */
import type { Event } from '../../model/event.ts';
import type { RequestContext } from '../../store/context.ts';
import { machineFind } from '../../store/machine.ts';
import type { Control } from '../control.ts';

const neighbour = 'a neighbour';

export async function* eventsTold(control: Control, context: RequestContext, pages: AsyncIterable<Event[]>): AsyncGenerator<Event[]> {
  for await (const page of pages) yield context.role === 'account' ? await Promise.all(page.map((event) => told(control, context, event))) : page;
}

const told = async ({ store }: Control, context: RequestContext, event: Event): Promise<Event> => {
  const { claimant } = event.detail;
  if (typeof claimant !== 'string' || (await machineFind(context, store.db, claimant)) !== undefined) return event;
  // Names have no colon and no space.
  return { ...event, message: event.message.replace(/(?<=: )[^: ]+(?= claimed its guarantee)/, neighbour), detail: { ...event.detail, claimant: neighbour } };
};
