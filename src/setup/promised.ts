/** What an instance's machines are guaranteed already stands: `up` cannot leave it less to share out. Asked of the agent or, while none runs, of its journal. */
import { isDeepStrictEqual } from 'node:util';
import { CenoteError } from '../base/errors.ts';
import { formatCores, formatMib } from '../base/units.ts';
import { AgentClient } from '../client/agent.ts';
import { recordedGuarantees, recordedMachines } from '../agent/recorded.ts';
import type { RecordedMachine } from '../agent/recorded.ts';
import type { AllottedInstance, Allotment, Share } from '../host/allotment/allotment.ts';
import type { AgentInfo } from '../model/agent-api.ts';
import { defaultRoot, instancePaths, noOvercommit } from '../model/instance.ts';
import type { InstanceConfig, InstancePaths } from '../model/instance.ts';
import { promisableMbps } from '../model/uplink-reserve.ts';
import type { UpOptions } from './config.ts';

/** Of what `up` is asked for, what bears on promises. */
export type ShareOptions = Pick<UpOptions, 'cpuMillis' | 'memoryMib' | 'networkMbps' | 'overcommit'>;

/**
 * The instance's share of the host as it is asked for, or refused, and then nothing is changed. What is promised is asked twice: from the
 * moment that the share is on record agents promise no more than it leaves, but until then they may have.
 */
export const takeShare = async (
  options: ShareOptions,
  existing: InstanceConfig | null,
  paths: InstancePaths,
  allotment: Allotment,
): Promise<AllottedInstance> => {
  const { root } = paths;
  const { cpuMillis, memoryMib } = options;
  const former = allotment.find(root);
  const before = former === null ? null : allotment.share(former.instance);
  const demand = async (now: Share | null) => {
    if (existing !== null && before !== null && now !== null) await demandCarries(options, existing, paths, before, now);
  };
  const register = async (share: Pick<ShareOptions, keyof Share>) => allotment.register({ root, ...share, promised: await promisedByDefault(allotment, root) });
  // What is not said stays as it is, also of an instance that had all the rest of the host.
  const now = before === null ? null : { cpuMillis: cpuMillis ?? before.cpuMillis, memoryMib: memoryMib ?? before.memoryMib };
  await demand(now);
  const isAsked = cpuMillis !== undefined || memoryMib !== undefined;
  const entry = await register(isAsked && now !== null ? now : { cpuMillis, memoryMib });
  if (isDeepStrictEqual(entry.share, former?.share)) return entry;
  try {
    await demand(allotment.share(entry.instance));
    return entry.share === null ? entry : await register(entry.share);
  } catch (error) {
    await allotment.putBack(root, former);
    throw error;
  }
};

/** More than before is always taken, also where it is not enough yet. */
const demandCarries = async (options: ShareOptions, existing: InstanceConfig, paths: InstancePaths, before: Share, now: Share): Promise<void> => {
  const { cpuMillis, memoryMib, networkMbps, overcommit = {} } = options;
  const asked = [cpuMillis, memoryMib, networkMbps, ...Object.values(overcommit)];
  if (!asked.some((figure) => typeof figure === 'number')) return;
  const former = { ...noOvercommit, ...existing.overcommit };
  const ratios = { ...former, ...overcommit };
  const info = await infoOf(paths);
  const guaranteed = info?.guaranteed ?? recordedGuarantees(paths.agentJournal);
  const largest = largestGuarantees(recordedMachines(paths.agentJournal));
  for (const kind of ['cpu', 'memory'] as const) {
    const key = kind === 'cpu' ? 'cpuMillis' : 'memoryMib';
    demandShare(kind, guaranteed[key], Math.floor(before[key] * former[kind]), Math.floor(now[key] * ratios[kind]));
    demandWhole(kind, largest[key], before[key], now[key]);
  }
  if (info !== null) demandShare('disk', guaranteed.diskMib, info.pool.diskMib, Math.floor((info.pool.diskMib / former.disk) * ratios.disk));
  else if (ratios.disk < former.disk && guaranteed.diskMib > 0) refuseUnknownDisk();
  if (typeof networkMbps === 'number') demandUplink(guaranteed.networkMbps, networkMbps, existing.networkMbps ?? Infinity);
};

/** What the default instance has guaranteed to its machines cannot be given to another. */
const promisedByDefault = async (allotment: Allotment, root: string): Promise<Share | undefined> => {
  const holder = allotment.list().find((one) => one.share === null && one.root !== root);
  if (root === defaultRoot || holder === undefined) return undefined;
  const paths = instancePaths(holder.root);
  const { cpuMillis, memoryMib } = (await infoOf(paths))?.guaranteed ?? recordedGuarantees(paths.agentJournal);
  return { cpuMillis, memoryMib };
};

const largestGuarantees = (machines: readonly RecordedMachine[]): Share => {
  const largest = (key: keyof Share): number => machines.reduce((most, { resources }) => Math.max(most, resources[key]), 0);
  return { cpuMillis: largest('cpuMillis'), memoryMib: largest('memoryMib') };
};

const infoOf = async (paths: InstancePaths): Promise<AgentInfo | null> => {
  using client = new AgentClient(paths.agentSocket);
  return await client.info().catch(() => null);
};

const kinds = {
  cpu: { format: formatCores, flags: '--cpu and --overcommit-cpu' },
  memory: { format: formatMib, flags: '--memory and --overcommit-memory' },
  disk: { format: formatMib, flags: '--overcommit-disk' },
} as const;

const demandShare = (kind: keyof typeof kinds, guaranteed: number, before: number, left: number): void => {
  const { format, flags } = kinds[kind];
  if (left >= before || guaranteed <= left) return;
  throw new CenoteError('not_enough', `machines are guaranteed ${format(guaranteed)}; ${format(left)} could be`, {
    fields: [{ field: kind, message: 'too small' }],
    advice: `say more with ${flags}, or make their guarantees smaller first: cenote resize NAME --${kind} …`,
  });
};

/** However often the pool is promised, a machine by itself can have no more than there is. */
const demandWhole = (kind: 'cpu' | 'memory', largest: number, before: number, whole: number): void => {
  const { format } = kinds[kind];
  if (whole >= before || largest <= whole) return;
  throw new CenoteError('not_enough', `a machine is guaranteed ${format(largest)} by itself; the pool would have ${format(whole)}`, {
    fields: [{ field: kind, message: 'too small' }],
    advice: `make its guarantee smaller first: cenote resize NAME --${kind} …`,
  });
};

/** What of the pool may be promised is measured by the agent. */
const refuseUnknownDisk = (): never => {
  throw new CenoteError('unavailable', 'the agent does not run, so it is not known whether the disk would still carry what machines are guaranteed', {
    fields: [{ field: '--overcommit-disk', message: 'cannot be made smaller now' }],
    advice: 'bring it up as it was first: cenote up',
  });
};

const demandUplink = (guaranteedMbps: number, networkMbps: number, formerMbps: number): void => {
  const left = promisableMbps(networkMbps);
  if (networkMbps >= formerMbps || guaranteedMbps <= left) return;
  throw new CenoteError('not_enough', `machines are guaranteed ${guaranteedMbps} Mbit/s; of ${networkMbps} Mbit/s ${left} can be`, {
    fields: [{ field: '--net-capacity', message: 'too small' }],
    advice: 'say what it carries in truth, or make their guarantees smaller first: cenote resize NAME --net MBPS',
  });
};
