/** Guarantees of all machines together never exceed the pool; otherwise a guarantee would be a word. One rule for the control plane and the agent. */
import { CenoteError } from '../base/errors.ts';
import { exactMib, formatCores } from '../base/units.ts';
import type { Guarantees, PoolSize } from './resources.ts';

/** All that an account is told: how much the others have is not for it. */
export const shortfallTold = 'the host has not enough left of what is asked for';

const named = [
  { key: 'cpuMillis', what: 'CPU', format: formatCores },
  { key: 'memoryMib', what: 'memory', format: exactMib },
  { key: 'diskMib', what: 'disk', format: exactMib },
  { key: 'networkMbps', what: 'network', format: (value: number) => `${value} Mbit/s` },
] as const;

/** `others`: what all other machines have. `former`: what this one has now, when it is resized: no more of something than that is never refused. */
export const refuseShortfall = (pool: PoolSize, others: Guarantees, wanted: Guarantees, former: Guarantees | null): void => {
  const short = named.flatMap(({ key, what, format }) => {
    const most = pool[key];
    if (most === null) return [];
    const left = Math.max(0, most - others[key]);
    if (wanted[key] <= left || (former !== null && wanted[key] <= former[key])) return [];
    // What it has already is its own: left for it, but for nobody else.
    const own = former?.[key] ?? 0;
    const room =
      own === 0
        ? `${format(left)} of ${format(most)} left`
        : `${format(Math.max(own, left))} at most: it has ${format(own)}, and ${format(Math.max(0, left - own))} of ${format(most)} are left`;
    const message = `not enough ${what}: asked for ${format(wanted[key])}, ${room}`;
    return [{ field: `resources.${key}`, message }];
  });
  if (short.length === 0) return;
  throw new CenoteError('not_enough', short.map(({ message }) => message).join('; '), {
    fields: short,
    advice: 'ask for less, or make other machines smaller: guarantees are set aside, ceilings are not; cenote pool shows what is kept, promised and left',
  });
};

/** However often the pool is promised, a machine by itself can have no more than there is. */
export const refuseMoreThanAll = (held: Pick<Guarantees, 'cpuMillis' | 'memoryMib'>, wanted: Guarantees, former: Guarantees | null): void => {
  const beyond = named.flatMap(({ key, what, format }) => {
    if (key !== 'cpuMillis' && key !== 'memoryMib') return [];
    if (wanted[key] <= Math.max(held[key], former?.[key] ?? 0)) return [];
    return [
      {
        field: `resources.${key}`,
        message: `not enough ${what}: asked for ${format(wanted[key])}, and the pool has ${format(held[key])}, for a machine by itself too`,
      },
    ];
  });
  if (beyond.length === 0) return;
  throw new CenoteError('not_enough', beyond.map(({ message }) => message).join('; '), {
    fields: beyond,
    advice: 'ask for less: overcommit is for many machines',
  });
};
