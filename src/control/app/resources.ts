/** What a machine is to be guaranteed: from the package, single numbers and the defaults; and whether the pool has it. */
import { CenoteError, invalid } from '../../base/errors.ts';
import { formatCores } from '../../base/units.ts';
import { refuseMoreThanAll, refuseShortfall } from '../../model/admission.ts';
import type { AgentInfo } from '../../model/agent-api.ts';
import { checkResources } from '../../model/check-resources.ts';
import { guaranteesWithout, refuseUnsupported } from '../../model/resources.ts';
import type { Guarantees, Resources } from '../../model/resources.ts';
import type { RequestContext } from '../../store/context.ts';
import { accountGet } from '../../store/account.ts';
import { setAsideFor } from '../../store/set-aside.ts';
import type { SetAside } from '../../store/set-aside.ts';
import { namedBy } from './field.ts';
import { refuseOverQuota } from './quota.ts';
import { packageGet } from '../../store/package.ts';
import type { Db } from '../../store/store.ts';
import type { AgentLink } from '../agent/link.ts';
import { mergeResources } from '../jobs/request.ts';
import type { ResourceChange } from '../jobs/request.ts';

export const resourceChange = async (context: RequestContext, db: Db, asked: { package?: string; resources?: Partial<Resources> }): Promise<ResourceChange> => {
  const patch = asked.resources ?? {};
  if (asked.package === undefined) return { package: null, patch };
  const wanted = asked.package;
  const { name, version, resources } = await namedBy('package', () => packageGet(context, db, wanted), { advice: 'see what there is: cenote package ls' });
  return { package: { name, version, resources }, patch };
};

/** `unsaid` has the numbers that nobody names. */
export const newResources = (unsaid: Resources, change: ResourceChange): Resources => checkResources(mergeResources(unsaid, change));

/** What the pool has not left by what it was some seconds ago is tried once more by what it is. */
export const asItIs = async <Result>(link: Pick<AgentLink, 'renew'>, work: () => Promise<Result>): Promise<Result> => {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof CenoteError) || error.code !== 'not_enough') throw error;
    await link.renew();
    return work();
  }
};

/** Refuses what the host cannot honour, and what the pool has not left. `already`: what is set aside for the machine; null, where it is to be made. */
export const admit = async (
  context: RequestContext,
  db: Db,
  host: Pick<AgentInfo, 'held' | 'host' | 'pool' | 'unsupported'>,
  asked: Resources,
  already: Guarantees | null,
): Promise<void> => {
  refuseUnsupported(asked, host.unsupported);
  refuseIdleBank(asked, host.host.cpus);
  const { inAccount, inAll } = await setAsideFor(context, db, context.account);
  refuseOverQuota(await accountGet(context, db, context.account), without(inAccount, already), asked, already);
  refuseShortfall(host.pool, without(inAll, already), asked, already);
  refuseMoreThanAll(host.held, asked, already);
};

/** A ceiling above the host's cores is none, and metering would tell of what never happens. */
const refuseIdleBank = ({ burst }: Resources, cpus: number): void => {
  if (burst === null || burst.baselineMillis < cpus * 1000) return;
  const message = `the baseline of ${formatCores(burst.baselineMillis)} leaves nothing to burst: the host has ${formatCores(cpus * 1000)}`;
  throw invalid('resources.burst.baselineMillis', message, 'give a lower baseline, or no metered bursting: --cpu-burst none');
};

/** What the other machines have. */
const without = (all: SetAside, one: Guarantees | null): SetAside => (one === null ? all : { machines: all.machines - 1, ...guaranteesWithout(all, one) });
