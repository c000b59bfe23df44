/** What an account's machines may be together, whatever the pool has. */
import { CenoteError } from '../../base/errors.ts';
import { formatCpu, formatMib } from '../../base/units.ts';
import type { Account } from '../../model/account.ts';
import type { Guarantees } from '../../model/resources.ts';

type Totals = Pick<Guarantees, 'cpuMillis' | 'memoryMib' | 'diskMib'> & { machines: number };

const limits = [
  { key: 'machines', what: 'machines', format: String },
  { key: 'cpuMillis', what: 'CPU', format: (value: number) => `${formatCpu(value)} cores` },
  { key: 'memoryMib', what: 'memory', format: formatMib },
  { key: 'diskMib', what: 'disk', format: formatMib },
] as const;

/** `others`: what the account's other machines have. `former`: what this one has now; no more of something than that is never refused. */
export const refuseOverQuota = (account: Account, others: Totals, wanted: Guarantees, former: Guarantees | null): void => {
  const would = (key: keyof Totals): number => others[key] + (key === 'machines' ? 1 : wanted[key]);
  const over = limits.filter(({ key }) => {
    const most = account.quota[key] ?? null;
    const grows = former === null || (key !== 'machines' && wanted[key] > former[key]);
    return most !== null && grows && would(key) > most;
  });
  if (over.length === 0) return;
  const said = over.map(
    ({ key, what, format }) => `${format(would(key))} ${what === 'machines' ? 'machines' : `of ${what}`}, and may have ${format(account.quota[key]!)}`,
  );
  throw new CenoteError('over_quota', `account ${account.name} would have ${said.join('; ')}`, {
    fields: over.map(({ key, what }) => ({ field: key === 'machines' ? 'machines' : `resources.${key}`, message: `more ${what} than the account may have` })),
    advice: 'delete or make smaller what is not needed, or ask the operator for more: cenote account update',
  });
};
