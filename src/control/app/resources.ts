/** What a machine is to be guaranteed: from the package, single numbers and the defaults; and whether the pool has it. */
import { CenoteError, invalid } from '../../base/errors.ts';
import { formatCpu, formatMib } from '../../base/units.ts';
import { defaultResources } from '../../model/resources.ts';
import type { Guarantees, PoolSize, Resources } from '../../model/resources.ts';
import type { RequestContext } from '../../store/context.ts';
import { machineGuarantees } from '../../store/machine.ts';
import { packageGet } from '../../store/package.ts';
import type { Db } from '../../store/store.ts';
import { mergeResources } from '../jobs/request.ts';
import type { ResourceChange } from '../jobs/request.ts';

export const resourceChange = async (context: RequestContext, db: Db, asked: { package?: string; resources?: Partial<Resources> }): Promise<ResourceChange> => {
  const patch = asked.resources ?? {};
  if (asked.package === undefined) return { package: null, patch };
  try {
    const { name, version, resources } = await packageGet(context, db, asked.package);
    return { package: { name, version, resources }, patch };
  } catch (error) {
    if (!(error instanceof CenoteError) || error.code !== 'not_found') throw error;
    throw invalid('package', error.message, 'see what there is: cenote package ls');
  }
};

export const newResources = (change: ResourceChange): Resources => checkResources(mergeResources(defaultResources, change));

/** A ceiling below the guarantee would promise and forbid the same. What lies between them may be metered. */
export const checkResources = (resources: Resources): Resources => {
  const { cpuMillis, cpuCeilingMillis, burst, memoryMib, memoryCeilingMib, networkMbps, networkCeilingMbps } = resources;
  if (cpuCeilingMillis !== null && cpuCeilingMillis < cpuMillis) {
    throw invalid('resources.cpuCeilingMillis', `the ceiling of ${formatCpu(cpuCeilingMillis)} cores is below the guarantee of ${formatCpu(cpuMillis)}`);
  }
  if (burst !== null && burst.baselineMillis < cpuMillis) {
    throw invalid(
      'resources.burst.baselineMillis',
      `the baseline of ${formatCpu(burst.baselineMillis)} cores is below the guarantee of ${formatCpu(cpuMillis)}, which is never taken away`,
    );
  }
  if (burst !== null && cpuCeilingMillis !== null && cpuCeilingMillis <= burst.baselineMillis) {
    throw invalid(
      'resources.burst.baselineMillis',
      `the baseline of ${formatCpu(burst.baselineMillis)} cores leaves nothing to burst below the ceiling of ${formatCpu(cpuCeilingMillis)} cores`,
    );
  }
  if (networkCeilingMbps !== null && networkCeilingMbps < networkMbps) {
    throw invalid('resources.networkCeilingMbps', `the ceiling of ${networkCeilingMbps} Mbit/s is below the guarantee of ${networkMbps} Mbit/s`);
  }
  if (memoryCeilingMib !== null && memoryCeilingMib < memoryMib) {
    throw invalid('resources.memoryCeilingMib', `the ceiling of ${formatMib(memoryCeilingMib)} is below the guarantee of ${formatMib(memoryMib)}`);
  }
  return resources;
};

const named = [
  { key: 'cpuMillis', what: 'CPU', format: (value: number) => `${formatCpu(value)} cores` },
  { key: 'memoryMib', what: 'memory', format: formatMib },
  { key: 'diskMib', what: 'disk', format: formatMib },
  { key: 'networkMbps', what: 'network', format: (value: number) => `${value} Mbit/s` },
] as const;

/** Guarantees of all machines together never exceed the pool; otherwise a guarantee would be a word. */
export const admit = async (
  context: RequestContext,
  db: Db,
  pool: PoolSize,
  machine: string,
  asked: Guarantees,
  already: Guarantees | undefined,
): Promise<void> => {
  const others = await machineGuarantees(context, db, machine);
  const short = named.flatMap(({ key, what, format }) => {
    const most = pool[key];
    if (most === null) return [];
    const left = Math.max(0, most - others[key]);
    // A resize that asks for no more of it than it has is never in the way, even when the pool has become smaller.
    if (asked[key] <= left || asked[key] <= (already?.[key] ?? 0)) return [];
    return [{ field: `resources.${key}`, message: `not enough ${what}: asked for ${format(asked[key])}, ${format(left)} of ${format(most)} left` }];
  });
  if (short.length === 0) return;
  throw new CenoteError('not_enough', short.map(({ message }) => message).join('; '), {
    fields: short,
    advice: 'ask for less, or make other machines smaller: guarantees are set aside, ceilings are not',
  });
};
