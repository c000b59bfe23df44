/** Whether the host has a machine. Of one whose create failed there is a name, an address and the reason, until a person has seen it and deletes it. */
import { CenoteError } from '../../base/errors.ts';
import type { RequestContext } from '../../store/context.ts';
import { machineGet } from '../../store/machine.ts';
import type { StoredMachine } from '../../store/machine.ts';
import type { Db } from '../../store/store.ts';

/** Nothing is set aside for one that was not made, and something for every other. */
export const demandMade = ({ machine, reserved }: StoredMachine): void => {
  if (machine.state !== 'failed' || reserved.diskMib > 0) return;
  throw new CenoteError('wrong_state', `${machine.name} was never made: ${machine.error ?? 'no reason is known'}`, {
    advice: `delete it, and create it again: cenote delete ${machine.name}`,
  });
};

/** For what is asked of the host itself. */
export const machineMade = async (context: RequestContext, db: Db, idOrName: string): Promise<StoredMachine> => {
  const stored = await machineGet(context, db, idOrName);
  demandMade(stored);
  return stored;
};
