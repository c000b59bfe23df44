/** Deleting images, packages and platforms by their names: each is tried, the exit status is the first failure's. */
import { asCenoteError, CenoteError, errorCodes } from '../base/errors.ts';
import type { Context } from './context.ts';
import { plural } from './format.ts';

export const deleteNamed = async (
  context: Context,
  names: readonly string[],
  flags: { yes: boolean; json: boolean },
  noun: string,
  remove: (name: string) => Promise<unknown>,
): Promise<number> => {
  if (names.length > 1 && !flags.yes)
    throw new CenoteError('invalid_argument', `this would delete ${plural(names.length, noun)}: ${names.join(', ')}`, {
      advice: 'nothing was done; repeat it with --yes',
    });
  let exit = 0;
  const deleted: string[] = [];
  for (const name of names) {
    try {
      await remove(name);
      deleted.push(name);
      if (!flags.json) context.output.line(`deleted ${noun} ${name}`);
    } catch (error) {
      const known = asCenoteError(error);
      context.output.error(known);
      if (exit === 0) exit = errorCodes[known.code].exit;
    }
  }
  if (flags.json) context.output.json({ deleted });
  return exit;
};
