/** Who may log in to a machine that has an SSH server: whoever has the account's keys, and its administrators. Its image sees to it, by the metadata. */
import type { Metadata } from '../../model/machine.ts';
import type { RequestContext } from '../../store/context.ts';
import { keyList } from '../../store/key.ts';
import type { Db } from '../../store/store.ts';
import { userKeyListOfRole } from '../../store/user.ts';

/** The role of those of an account's users who may do all. */
export const administrator = 'administrator';

export const authorizedKeys = async (context: RequestContext, db: Db): Promise<Metadata> => {
  const keys = [...(await keyList(context, db, context.account)), ...(await userKeyListOfRole(context, db, administrator))];
  const lines = new Set(keys.map(({ key }) => key));
  return lines.size === 0 ? {} : { root_authorized_keys: `${[...lines].join('\n')}\n` };
};
