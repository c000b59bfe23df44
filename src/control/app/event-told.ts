/** What an account is told of an event: not which machine of another's was in the way of its own, nor how much all have. */
import { shortfallTold } from '../../model/admission.ts';
import type { Event } from '../../model/event.ts';
import type { RequestContext } from '../../store/context.ts';
import { machineFind } from '../../store/machine.ts';
import type { Control } from '../control.ts';

const neighbour = 'a neighbour';

export async function* eventsTold(control: Control, context: RequestContext, pages: AsyncIterable<Event[]>): AsyncGenerator<Event[]> {
  for await (const page of pages) yield context.role === 'account' ? await Promise.all(page.map((event) => told(control, context, event))) : page;
}

const told = async ({ store }: Control, context: RequestContext, event: Event): Promise<Event> => {
  const { claimant, code, reason } = event.detail;
  if (event.type === 'machine.refused' && code === 'not_enough')
    return { ...event, message: event.message.replace(String(reason), shortfallTold), detail: { ...event.detail, reason: shortfallTold } };
  if (typeof claimant !== 'string' || (await machineFind(context, store.db, claimant)) !== undefined) return event;
  // Names have no colon and no space.
  return { ...event, message: event.message.replace(/(?<=: )[^: ]+(?= claimed its guarantee)/, neighbour), detail: { ...event.detail, claimant: neighbour } };
};
