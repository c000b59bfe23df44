/** What the simulated agent says of the pool: a host of 4 cores and 8 GiB, each look a second after the one before. */
import type { MachineStatus, MachineUsage } from '../../src/model/machine.ts';
import type { NetworkUsage } from '../../src/model/network-usage.ts';
import { networksOf } from '../../src/model/nics.ts';
import type { PoolStatus } from '../../src/model/pool.ts';
import { guaranteeKeys, noGuarantees } from '../../src/model/resources.ts';
import type { PoolSize } from '../../src/model/resources.ts';

export const usageOf = (status: MachineStatus, said: Partial<MachineUsage> = {}): MachineUsage => ({
  id: status.id,
  cpuSeconds: 1,
  throttledSeconds: 0,
  memoryMib: 1,
  workingSetMib: 1,
  swapMib: 0,
  diskMib: 1,
  processes: 1,
  receivedBytes: 0,
  sentBytes: 0,
  refusedProcesses: 0,
  outOfMemoryKills: 0,
  memoryLimitMib: 4096,
  readBytes: 0,
  writtenBytes: 0,
  pressure: null,
  ...said,
});

export const networkUsageOf = ({ machines }: Pick<SimulatedPool, 'machines'>, network: string): NetworkUsage => ({
  machines: [...machines.values()].filter(({ status }) => networksOf([status.spec]).has(network)).length,
  dropped: {},
});

export interface SimulatedPool {
  machines: ReadonlyMap<string, { status: MachineStatus }>;
  usages: ReadonlyMap<string, Partial<MachineUsage>>;
  /** How often it was looked at, what of its 21,024 MiB of disk is in use, and what is kept for machines that do not run. */
  pool: { looks: number; diskUsedMib: number; stopped?: PoolStatus['stopped'] };
  options: { pool: Omit<PoolSize, 'networkMbps'> & Partial<PoolSize> };
}

/** CPU seconds and bytes are said per second, and so grow with each look. */
export const poolOf = (agent: SimulatedPool): PoolStatus => {
  const seconds = (agent.pool.looks += 1);
  const running = [...agent.machines.values()].map(({ status }) => status).filter(({ state }) => state === 'running');
  const guaranteed = { ...noGuarantees };
  for (const { spec } of running) for (const key of guaranteeKeys) guaranteed[key] += spec.resources[key];
  const grown = (usage: MachineUsage): MachineUsage => {
    const growing = ['cpuSeconds', 'throttledSeconds', 'readBytes', 'writtenBytes', 'receivedBytes', 'sentBytes'] as const;
    return { ...usage, ...Object.fromEntries(growing.map((key) => [key, usage[key] * seconds])) };
  };
  const machines = running.map((status) => ({
    name: status.spec.name,
    resources: status.spec.resources,
    usage: grown({ ...usageOf(status, { cpuSeconds: 0, ...agent.usages.get(status.id) }) }),
  }));
  const busy = machines.reduce((sum, { usage }) => sum + usage.cpuSeconds, 0);
  return {
    clockMs: seconds * 1000,
    host: {
      name: 'simulated',
      kernel: '6.0',
      cpuMillis: 4000,
      cpuBusySeconds: busy + 0.25 * seconds,
      memoryMib: 8192,
      memoryAvailableMib: 4096,
      swapMib: 0,
      swapFreeMib: 0,
      pressure: null,
    },
    reserve: { cpuMillis: 200, memoryMib: 512, diskMib: 1024, networkMbps: null },
    share: { cpuMillis: 3800, memoryMib: 7680, diskMib: 20_000 },
    overcommit: { cpu: 1, memory: 1, disk: 1 },
    pool: { networkMbps: null, ...agent.options.pool },
    guaranteed,
    disk: { totalMib: 21_024, usedMib: agent.pool.diskUsedMib, readBytes: 0, writtenBytes: 0 },
    uplink: null,
    machines,
    stopped: agent.pool.stopped ?? { machines: 0, cpuMillis: 0, memoryMib: 0, diskMib: 0 },
  };
};
