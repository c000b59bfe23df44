/** The floating addresses that lead to machines. */
import { CenoteError } from '../../base/errors.ts';
import type { Context } from '../context.ts';

/** By machine. None for who may not see them: they are told beside what was asked for. */
export const floatingOf = async (context: Context): Promise<ReadonlyMap<string, string[]>> => {
  const control = await context.control();
  const all = await control.floatingList({ signal: context.signal }).catch((error: unknown) => {
    if (error instanceof CenoteError && error.code === 'forbidden') return [];
    throw error;
  });
  const led = all.flatMap(({ address, machine }) => (machine === null ? [] : [{ address, machine }]));
  return new Map(
    Map.groupBy(led, ({ machine }) => machine)
      .entries()
      .map(([machine, leading]) => [machine, leading.map(({ address }) => address)]),
  );
};
