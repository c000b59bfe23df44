/** Guarantees of all machines together never exceed the pool; otherwise a guarantee would be a word. One rule for the control plane and the agent. */
import { CenoteError } from '../base/errors.ts';
import { formatCpu, formatMib } from '../base/units.ts';
import type { Guarantees, PoolSize } from './resources.ts';

const named = [
  { key: 'cpuMillis', what: 'CPU', format: (value: number) => `${formatCpu(value)} cores` },
  { key: 'memoryMib', what: 'memory', format: formatMib },
  { key: 'diskMib', what: 'disk', format: formatMib },
  { key: 'networkMbps', what: 'network', format: (value: number) => `${value} Mbit/s` },
] as const;

/** `others`: what all other machines have. `former`: what this one has now, when it is resized: no more of something than that is never refused. */
export const refuseShortfall = (pool: PoolSize, others: Guarantees, wanted: Guarantees, former: Guarantees | null): void => {
  const short = named.flatMap(({ key, what, format }) => {
    const most = pool[key];
    if (most === null) return [];
    const left = Math.max(0, most - others[key]);
    if (wanted[key] <= left || (former !== null && wanted[key] <= former[key])) return [];
    const message = `not enough ${what}: asked for ${format(wanted[key])}, ${format(left)} of ${format(most)} left`;
    return [{ field: `resources.${key}`, message }];
  });
  if (short.length === 0) return;
  throw new CenoteError('not_enough', short.map(({ message }) => message).join('; '), {
    fields: short,
    advice: 'ask for less, or make other machines smaller: guarantees are set aside, ceilings are not; cenote pool shows what is kept, promised and left',
  });
};
