/** Of another account than one's own nothing is told, not even whether there is one. */
import { publicId } from '../../model/public-id.ts';
import { Refusal } from './refusal.ts';
import type { Caller } from './caller.ts';

/** `asked` as it stands in the path. */
export const callersOwn = (asked: string | undefined, { account }: Pick<Caller, 'account'>): void => {
  if (asked === undefined || asked === 'my' || asked === account.name || asked === publicId('account', account.id)) return;
  throw new Refusal(403, 'NotAuthorized', `You do not have permission to access /${asked.slice(0, 80)}`);
};
