/** Published ports in the register that the instances of a host share. Machines without any cost it nothing. */
import type { Allotment } from '../host/allotment/allotment.ts';
import type { PortRegister } from './host.ts';

export const portRegister = (allotment: Allotment, instance: string): PortRegister => {
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
  };
};
