/** What a machine's volume needs before it lies over other trees than until now: another platform, or another image. */
import { join } from 'node:path';
import { carryData } from '../../host/rootfs/carry-data.ts';
import { etcConflicts } from '../../host/rootfs/etc-conflicts.ts';
import type { MachineSpec } from '../../model/machine.ts';
import type { Machine } from './machine.ts';

/** At rest only. Gives the files in /etc that are the machine's own and have changed below; changes nothing that the machine can see. */
export const rebase = async (machine: Machine, former: MachineSpec, next: MachineSpec): Promise<string[]> => {
  const { host } = machine;
  const [before, after] = [await host.platforms.rootParts(former.image, former.platform), await host.platforms.rootParts(next.image, next.platform)];
  if (before.lowers.join('\n') === after.lowers.join('\n')) return [];
  const volume = host.storage.volumePath(machine.id);
  const upper = join(volume, 'upper');
  const merged = join(host.runDirectory, 'copies', machine.id);
  try {
    await host.roots.mount({ target: merged, lowers: before.lowers, usr: null, volume, idmapFd: null });
    const carried = await carryData({ upper, merged, lowers: before.lowers });
    if (carried.length > 0)
      host.logger.info(
        { machine: machine.id, carried: carried.slice(0, 20), count: carried.length },
        'data that came with the platform is the machine’s own now',
      );
  } finally {
    await host.roots.unmount(merged);
  }
  return etcConflicts(upper, before.lowers, after.lowers);
};
