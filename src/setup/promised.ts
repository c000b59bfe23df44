/** What an instance's machines are guaranteed already stands: `up` cannot leave it less to share out. Asked of the agent, if it is there to be asked. */
import { CenoteError } from '../base/errors.ts';
import { formatCpu, formatMib } from '../base/units.ts';
import { AgentClient } from '../client/agent.ts';
import type { Allotment, Share } from '../host/allotment/allotment.ts';
import type { AgentInfo } from '../model/agent-api.ts';
import { defaultRoot, instancePaths, noOvercommit } from '../model/instance.ts';
import type { InstanceConfig, InstancePaths } from '../model/instance.ts';
import { promisableMbps } from '../model/uplink.ts';
import type { UpOptions } from './config.ts';

/** Before anything is changed. More than before is always taken, also where it is not enough yet. */
export const demandCarries = async (options: UpOptions, existing: InstanceConfig, paths: InstancePaths, allotment: Allotment): Promise<void> => {
  const { cpuMillis, memoryMib, networkMbps, overcommit = {} } = options;
  const asked = [cpuMillis, memoryMib, networkMbps, ...Object.values(overcommit)];
  if (!asked.some((figure) => typeof figure === 'number')) return;
  const info = await infoOf(paths);
  if (info === null) return;
  const former = { ...noOvercommit, ...existing.overcommit };
  const ratios = { ...former, ...overcommit };
  const share = allotment.share(existing.instance);
  demandShare(info, 'cpu', Math.floor((cpuMillis ?? share.cpuMillis) * ratios.cpu));
  demandShare(info, 'memory', Math.floor((memoryMib ?? share.memoryMib) * ratios.memory));
  demandShare(info, 'disk', Math.floor((info.pool.diskMib / former.disk) * ratios.disk));
  if (typeof networkMbps === 'number') demandUplink(info, networkMbps, existing.networkMbps ?? Infinity);
};

/** What the default instance has guaranteed to its machines cannot be given to another. */
export const promisedByDefault = async (allotment: Allotment, root: string): Promise<Share | undefined> => {
  const holder = allotment.list().find((one) => one.share === null && one.root !== root);
  if (root === defaultRoot || holder === undefined) return undefined;
  const info = await infoOf(instancePaths(holder.root));
  return info === null ? undefined : { cpuMillis: info.guaranteed.cpuMillis, memoryMib: info.guaranteed.memoryMib };
};

const infoOf = async (paths: InstancePaths): Promise<AgentInfo | null> => {
  using client = new AgentClient(paths.agentSocket);
  return await client.info().catch(() => null);
};

const kinds = {
  cpu: { key: 'cpuMillis', format: (millis: number) => `${formatCpu(millis)} cores`, flags: '--cpu and --overcommit-cpu' },
  memory: { key: 'memoryMib', format: formatMib, flags: '--memory and --overcommit-memory' },
  disk: { key: 'diskMib', format: formatMib, flags: '--overcommit-disk' },
} as const;

const demandShare = ({ pool, guaranteed }: AgentInfo, kind: keyof typeof kinds, left: number): void => {
  const { key, format, flags } = kinds[kind];
  if (left >= pool[key] || guaranteed[key] <= left) return;
  throw new CenoteError('not_enough', `machines are guaranteed ${format(guaranteed[key])}; ${format(left)} could be`, {
    fields: [{ field: kind, message: 'too small' }],
    advice: `say more with ${flags}, or make their guarantees smaller first: cenote resize NAME --${kind} …`,
  });
};

const demandUplink = ({ guaranteed }: AgentInfo, networkMbps: number, formerMbps: number): void => {
  const left = promisableMbps(networkMbps);
  if (networkMbps >= formerMbps || guaranteed.networkMbps <= left) return;
  throw new CenoteError('not_enough', `machines are guaranteed ${guaranteed.networkMbps} Mbit/s; of ${networkMbps} Mbit/s ${left} can be`, {
    fields: [{ field: 'net-capacity', message: 'too small' }],
    advice: 'say what it carries in truth, or make their guarantees smaller first: cenote resize NAME --net MBPS',
  });
};
