/** The flags that say how much a machine is guaranteed and may take, shared by create, run, resize and package create. */
import { parseCpuMillis, parseSizeMib } from '../../base/units.ts';
import type { Resources } from '../../model/resources.ts';
import { parsed } from '../command.ts';
import { parseCount } from '../format.ts';
import { parseCpuCeiling, parseSizeCeiling } from '../values.ts';

export const resourceFlags = {
  cpu: parsed('CORES', parseCpuMillis, 'CPU guarantee, such as 0.5'),
  cpuCeiling: parsed('CORES', parseCpuCeiling, 'the most CPU it may take; none for the whole host'),
  memory: parsed('SIZE', parseSizeMib, 'memory guarantee, such as 256M'),
  memoryCeiling: parsed('SIZE', parseSizeCeiling, 'the most memory it may take; none for the whole pool'),
  disk: parsed('SIZE', parseSizeMib, 'disk quota, such as 5G'),
  processes: parsed('N', parseCount(4, 4_000_000), 'processes and threads at once'),
} as const;

interface ResourceValues {
  cpu: number | undefined;
  cpuCeiling: number | 'none' | undefined;
  memory: number | undefined;
  memoryCeiling: number | 'none' | undefined;
  disk: number | undefined;
  processes: number | undefined;
}

const ceiling = (given: number | 'none' | undefined): number | null | undefined => (given === 'none' ? null : given);

/** Only what was given; undefined when nothing was. */
export const givenResources = (flags: ResourceValues): Partial<Resources> | undefined => {
  const all = {
    cpuMillis: flags.cpu,
    cpuCeilingMillis: ceiling(flags.cpuCeiling),
    memoryMib: flags.memory,
    memoryCeilingMib: ceiling(flags.memoryCeiling),
    diskMib: flags.disk,
    processes: flags.processes,
  };
  const given = Object.fromEntries(Object.entries(all).filter(([, number]) => number !== undefined)) as Partial<Resources>;
  return Object.keys(given).length > 0 ? given : undefined;
};
