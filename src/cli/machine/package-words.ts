/** A machine's package, and what of the machine's size is not the package's. */
import { isDeepStrictEqual } from 'node:util';
import { CenoteError } from '../../base/errors.ts';
import type { Machine } from '../../model/control-api.ts';
import type { Resources } from '../../model/resources.ts';
import type { Context } from '../context.ts';
import { formatPackage } from '../format.ts';

const words: Readonly<Record<keyof Resources, string>> = {
  cpuMillis: 'CPU',
  cpuCeilingMillis: 'CPU ceiling',
  burst: 'bursting',
  memoryMib: 'memory',
  memoryCeilingMib: 'memory ceiling',
  diskMib: 'disk',
  processes: 'processes',
  ioWeight: 'I/O weight',
  ioReadMibps: 'reads',
  ioWriteMibps: 'writes',
  ioReadIops: 'reads a second',
  ioWriteIops: 'writes a second',
  networkMbps: 'bandwidth',
  networkCeilingMbps: 'bandwidth ceiling',
};

export const packageWords = async (context: Context, machine: Machine): Promise<string | null> => {
  if (machine.package === null) return null;
  const name = formatPackage(machine.package);
  const control = await context.control();
  const found = await control.packageGet(name, { signal: context.signal }).catch((error: unknown) => {
    if (error instanceof CenoteError && error.code === 'not_found') return null;
    throw error;
  });
  if (found === null) return name;
  const keys = Object.keys(words) as (keyof Resources)[];
  const own = keys.filter((key) => !isDeepStrictEqual(machine.resources[key], found.resources[key]));
  return own.length === 0 ? name : `${name}, but for its own ${own.map((key) => words[key]).join(', ')}`;
};
