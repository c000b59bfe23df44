/** The pool as it is, put together when somebody asks: nothing of it is measured, or kept, in between. */
import { hostname, release } from 'node:os';
import { setImmediate as turn } from 'node:timers/promises';
import type { PoolAmount } from '../host/cgroup/cgroup.ts';
import { hostMeters, sentBy } from '../host/metrics/host-meters.ts';
import type { Overcommit } from '../model/instance.ts';
import type { PoolMachine, PoolStatus } from '../model/pool.ts';
import type { PoolSize } from '../model/resources.ts';
import { promisableMbps, reserveMbps } from '../model/uplink-reserve.ts';
import type { Host } from './host.ts';
import { machineUsage } from './machine/usage.ts';
import type { BurstMeter } from './machine/usage.ts';
import type { Machine } from './machine/machine.ts';
import type { Machines } from './machines.ts';

/** What machines may be promised follows from it. */
export interface PoolBasis {
  share: PoolAmount & { diskMib: number };
  overcommit: Overcommit;
  /** What the uplink carries. */
  networkMbps: number | null;
}

/** And where it comes from. */
export interface PoolPlan extends PoolBasis {
  host: PoolAmount;
  reserve: PoolAmount;
}

export const poolSize = ({ share, overcommit, networkMbps }: PoolBasis): PoolSize => ({
  cpuMillis: Math.floor(share.cpuMillis * overcommit.cpu),
  memoryMib: Math.floor(share.memoryMib * overcommit.memory),
  diskMib: Math.floor(share.diskMib * overcommit.disk),
  networkMbps: networkMbps === null ? null : promisableMbps(networkMbps),
});

/** Machines measured before other requests have their turn. */
const atOnce = 16;

export const poolStatus = async (host: Host, machines: Machines, plan: PoolPlan, burstUsage: BurstMeter): Promise<PoolStatus> => {
  const all = [...machines.all()];
  const running = all.filter((machine) => machine.run !== null);
  const stopped = all.filter((machine) => machine.run === null).map(({ spec }) => spec.resources);
  const kept = (of: 'cpuMillis' | 'memoryMib' | 'diskMib') => stopped.reduce((sum, resources) => sum + resources[of], 0);
  const measured: PoolMachine[] = [];
  for (let at = 0; at < running.length; at += atOnce) {
    const some = await Promise.all(running.slice(at, at + atOnce).map((machine) => measure(host, machine, burstUsage)));
    measured.push(...some.filter((machine) => machine !== null));
    await turn();
  }
  const { totalMib, usedMib } = await host.storage.capacity();
  const { disk, ...meters } = hostMeters(host.storage.device);
  const { networkMbps } = plan;
  const devices = host.network.uplinks().map(({ device }) => device);
  return {
    clockMs: performance.now(),
    host: { name: hostname(), kernel: release(), cpuMillis: plan.host.cpuMillis, ...meters },
    reserve: {
      ...plan.reserve,
      diskMib: Math.max(0, Math.floor(totalMib - plan.share.diskMib)),
      networkMbps: networkMbps === null ? null : reserveMbps(networkMbps),
    },
    share: plan.share,
    overcommit: plan.overcommit,
    pool: machines.pool,
    guaranteed: { ...machines.guaranteed },
    disk: { totalMib, usedMib, readBytes: disk?.readBytes ?? null, writtenBytes: disk?.writtenBytes ?? null },
    uplink: networkMbps === null ? null : { capacityMbps: networkMbps, sentBytes: sentBy(devices) },
    machines: measured,
    stopped: { machines: stopped.length, cpuMillis: kept('cpuMillis'), memoryMib: kept('memoryMib'), diskMib: kept('diskMib') },
  };
};

/** Null for one that ended meanwhile. */
const measure = async (host: Host, machine: Machine, burstUsage: BurstMeter): Promise<PoolMachine | null> => {
  const { name, resources } = machine.spec;
  try {
    return { name, resources, usage: await machineUsage(host, machine, burstUsage) };
  } catch (error) {
    if (machine.run === null) return null;
    throw error;
  }
};
