/** What an account may have, as flags. */
import { parseCpuMillis, parseSizeMib } from '../../base/units.ts';
import type { AccountQuota } from '../../model/account.ts';
import { parsed } from '../command.ts';
import { parseCount } from '../format.ts';
import { orNone } from '../values.ts';

export const quotaFlags = {
  maxMachines: parsed('COUNT', orNone(parseCount(0, 1_000_000)), 'machines it may have; none is no limit'),
  maxCpu: parsed('CORES', orNone(parseCpuMillis), 'the most its machines may be guaranteed together'),
  maxMemory: parsed('SIZE', orNone(parseSizeMib), 'the most its machines may be guaranteed together'),
  maxDisk: parsed('SIZE', orNone(parseSizeMib), 'the most its machines may be guaranteed together'),
};

type Given = { [Name in keyof typeof quotaFlags]: number | 'none' | undefined };

/** Undefined where nothing was said. */
export const givenQuota = ({ maxMachines, maxCpu, maxMemory, maxDisk }: Given): AccountQuota | undefined => {
  const said = Object.entries({ machines: maxMachines, cpuMillis: maxCpu, memoryMib: maxMemory, diskMib: maxDisk }).filter(([, value]) => value !== undefined);
  return said.length === 0 ? undefined : Object.fromEntries(said.map(([name, value]) => [name, value === 'none' ? null : value]));
};
