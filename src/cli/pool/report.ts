/** From two looks at the pool to what a person wants to know: what there is of each resource, who has it, who has borrowed. Pure. */
import { mibOfBytes } from '../../base/units.ts';
import type { BurstUsage, DroppedPackets, Pressure } from '../../model/machine.ts';
import type { PoolMachine, PoolStatus } from '../../model/pool.ts';
import type { Resources } from '../../model/resources.ts';

/** Thousandths of a core, MiB, MiB/s or Mbit/s; null is not known, or not a thing that this resource has. */
export interface ResourceReport {
  resource: 'cpu' | 'memory' | 'disk' | 'io' | 'network';
  unit: 'millis' | 'mib' | 'mibps' | 'mbps';
  /** Of the whole host. */
  capacity: number | null;
  /** Kept for the host itself. */
  reserve: number | null;
  /** Not in this instance's share: other instances', or given to none. */
  elsewhere: number | null;
  /** How many times it is promised over; 1 is once. */
  overcommit: number | null;
  guaranteed: number | null;
  /** To be guaranteed yet. */
  left: number | null;
  /** By the machines. */
  used: number;
  /** Of it, above their guarantees. */
  borrowed: number | null;
  /** Idle on the whole host. */
  free: number | null;
}

export interface MachineReport {
  id: string;
  name: string;
  resources: Resources;
  /** `throttledInAllSeconds`: since it was started; a resize changes the ceiling, not the count. */
  cpu: { usedMillis: number; borrowedMillis: number; throttledSeconds: number; throttledInAllSeconds: number };
  /** `ownMib`: of what it uses, all but file caches that can be dropped at once. `swappedMib` is besides. */
  memory: { usedMib: number; ownMib: number; swappedMib: number; borrowedMib: number; limitMib: number };
  diskUsedMib: number;
  processes: { running: number; refused: number };
  io: { readMibps: number; writeMibps: number };
  network: { receivedMbps: number; sentMbps: number; borrowedMbps: number; dropped: DroppedPackets };
  pressure: Pressure | null;
  /** Of metered bursting, where it has a bank. */
  burst: BurstUsage | null;
}

export interface PoolReport {
  host: PoolStatus['host'];
  /** Cores that were busy on the whole host, in thousandths. */
  busyMillis: number;
  resources: ResourceReport[];
  /** Those that borrow most first. */
  machines: MachineReport[];
  /** Of what is guaranteed, what is kept for those that do not run. */
  stopped: PoolStatus['stopped'];
}

/** Of the uplink, by all that runs on the host; null where that is not known. */
const sentMbps = (before: PoolStatus, now: PoolStatus, seconds: number): number | null => {
  const [former, sent] = [before.uplink?.sentBytes ?? null, now.uplink?.sentBytes ?? null];
  return former === null || sent === null ? null : (Math.max(0, sent - former) * 8) / 1e6 / seconds;
};

export const reportPool = (before: PoolStatus, now: PoolStatus): PoolReport => {
  const seconds = Math.max(0.001, (now.clockMs - before.clockMs) / 1000);
  const former = new Map(before.machines.map((machine) => [machine.usage.id, machine]));
  const machines = now.machines.map((machine) => reportMachine(former.get(machine.usage.id), machine, seconds)).toSorted(byBorrowed);
  const busyMillis = ((now.host.cpuBusySeconds - before.host.cpuBusySeconds) * 1000) / seconds;
  return {
    host: now.host,
    busyMillis,
    resources: reportResources(now, machines, { busyMillis, sentMbps: sentMbps(before, now, seconds) }),
    machines,
    stopped: now.stopped,
  };
};

const reportMachine = (former: PoolMachine | undefined, { name, resources, usage }: PoolMachine, seconds: number): MachineReport => {
  // One that has just begun is counted from the next look on; one that was started anew began at nothing.
  const rate = (key: 'cpuSeconds' | 'throttledSeconds' | 'readBytes' | 'writtenBytes' | 'receivedBytes' | 'sentBytes'): number =>
    former === undefined ? 0 : Math.max(0, usage[key] - former.usage[key]) / seconds;
  const usedMillis = rate('cpuSeconds') * 1000;
  const receivedMbps = (rate('receivedBytes') * 8) / 1e6;
  const sentMbps = (rate('sentBytes') * 8) / 1e6;
  return {
    id: usage.id,
    name,
    resources,
    cpu: {
      usedMillis,
      borrowedMillis: above(usedMillis, resources.cpuMillis),
      throttledSeconds: rate('throttledSeconds') * seconds,
      throttledInAllSeconds: usage.throttledSeconds,
    },
    memory: {
      usedMib: usage.memoryMib,
      ownMib: usage.workingSetMib,
      swappedMib: usage.swapMib,
      borrowedMib: above(usage.memoryMib, resources.memoryMib),
      limitMib: usage.memoryLimitMib,
    },
    diskUsedMib: usage.diskMib,
    processes: { running: usage.processes, refused: usage.refusedProcesses },
    io: { readMibps: mibOfBytes(rate('readBytes')), writeMibps: mibOfBytes(rate('writtenBytes')) },
    network: { receivedMbps, sentMbps, borrowedMbps: above(Math.max(receivedMbps, sentMbps), resources.networkMbps), dropped: usage.dropped ?? {} },
    pressure: usage.pressure,
    burst: usage.burst ?? null,
  };
};

const above = (used: number, guarantee: number): number => Math.max(0, used - guarantee);

const byBorrowed = (one: MachineReport, other: MachineReport): number =>
  other.cpu.borrowedMillis - one.cpu.borrowedMillis || other.memory.borrowedMib - one.memory.borrowedMib || one.name.localeCompare(other.name);

/** What the whole host does. */
interface Busy {
  busyMillis: number;
  sentMbps: number | null;
}

const reportResources = (now: PoolStatus, machines: readonly MachineReport[], { busyMillis, sentMbps: sent }: Busy): ResourceReport[] => {
  const { host, reserve, share, overcommit, pool, guaranteed, disk, uplink } = now;
  const sum = (of: (machine: MachineReport) => number): number => machines.reduce((total, machine) => total + of(machine), 0);
  const elsewhere = (capacity: number, kept: number, own: number): number => Math.max(0, Math.floor(capacity) - kept - own);
  return [
    {
      resource: 'cpu',
      unit: 'millis',
      capacity: host.cpuMillis,
      reserve: reserve.cpuMillis,
      elsewhere: elsewhere(host.cpuMillis, reserve.cpuMillis, share.cpuMillis),
      overcommit: overcommit.cpu,
      guaranteed: guaranteed.cpuMillis,
      left: above(pool.cpuMillis, guaranteed.cpuMillis),
      used: sum(({ cpu }) => cpu.usedMillis),
      borrowed: sum(({ cpu }) => cpu.borrowedMillis),
      free: above(host.cpuMillis, busyMillis),
    },
    {
      resource: 'memory',
      unit: 'mib',
      capacity: host.memoryMib,
      reserve: reserve.memoryMib,
      elsewhere: elsewhere(host.memoryMib, reserve.memoryMib, share.memoryMib),
      overcommit: overcommit.memory,
      guaranteed: guaranteed.memoryMib,
      left: above(pool.memoryMib, guaranteed.memoryMib),
      used: sum(({ memory }) => memory.usedMib),
      borrowed: sum(({ memory }) => memory.borrowedMib),
      free: host.memoryAvailableMib,
    },
    {
      resource: 'disk',
      unit: 'mib',
      capacity: disk.totalMib,
      reserve: reserve.diskMib,
      elsewhere: 0,
      overcommit: overcommit.disk,
      guaranteed: guaranteed.diskMib,
      left: above(pool.diskMib, guaranteed.diskMib),
      used: disk.usedMib,
      borrowed: 0, // the quota is both guarantee and ceiling
      free: above(disk.totalMib, disk.usedMib),
    },
    {
      resource: 'io',
      unit: 'mibps',
      capacity: null,
      reserve: null,
      elsewhere: null,
      overcommit: null,
      guaranteed: null,
      left: null,
      used: sum(({ io }) => io.readMibps + io.writeMibps),
      borrowed: null,
      free: null,
    },
    {
      resource: 'network',
      unit: 'mbps',
      capacity: uplink?.capacityMbps ?? null,
      reserve: reserve.networkMbps,
      elsewhere: null,
      overcommit: null,
      guaranteed: guaranteed.networkMbps,
      left: pool.networkMbps === null ? null : above(pool.networkMbps, guaranteed.networkMbps),
      used: sum(({ network }) => Math.max(network.receivedMbps, network.sentMbps)),
      borrowed: sum(({ network }) => network.borrowedMbps),
      free: uplink === null || sent === null ? null : above(uplink.capacityMbps, sent),
    },
  ];
};
