/** Published ports in the register that the instances of a host share. Machines without any cost it nothing. */
import type { Allotment } from '../host/allotment/allotment.ts';
import type { Logger } from '../base/logger.ts';
import type { PortRegister } from './host.ts';

export const portRegister = (allotment: Allotment, instance: string, logger: Logger): PortRegister => {
  const holders = new Set<string>();
  return {
    async claim(machine, ports) {
      if (ports.length === 0 && !holders.has(machine)) return;
      await allotment.claimPorts(instance, machine, ports);
      holders.add(machine);
    },
    async release(machine) {
      if (!holders.has(machine)) return;
      await allotment.releasePorts(instance, machine);
      holders.delete(machine);
    },
    async restore(machines) {
      const publishing = machines.filter(({ ports }) => ports.length > 0);
      for (const { machine } of publishing) holders.add(machine);
      const lost = await allotment.restorePorts(instance, publishing);
      for (const { machine, port } of lost) logger.warn({ machine, port }, 'a published port was taken by another instance meanwhile');
    },
  };
};
