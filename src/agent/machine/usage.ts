/** What a machine uses, from where the host counts it. */
import type { BurstUsage, MachineUsage } from '../../model/machine.ts';
import type { Host } from '../host.ts';
import type { Machine } from './machine.ts';

const noTraffic = { receivedBytes: 0, sentBytes: 0 };

export type BurstMeter = (machine: Machine) => BurstUsage | null;

export const machineUsage = async (host: Host, machine: Machine, burstUsage: BurstMeter): Promise<MachineUsage> => {
  const { id, run } = machine;
  const [usage, volume, traffic] = await Promise.all([
    host.cgroups.usage(id),
    host.storage.volumeUsage(id),
    run === null ? noTraffic : host.network.traffic(run.slot),
  ]);
  const burst = burstUsage(machine);
  return { id, ...usage, diskMib: volume.usedMib, ...traffic, ...(burst === null ? {} : { burst }) };
};
