/** Pressure stall information (PSI): of a group of the v2 tree, which hybrid hosts have beside v1, or of the whole host. */
import { readFileSync } from 'node:fs';
import { isErrno } from '../../base/errno.ts';
import type { Pressure } from '../../model/machine.ts';

/** The share of the last ten seconds, in percent, in which at least one task waited. */
export const parsePressure = (text: string): number => Number(/^some avg10=([\d.]+)/m.exec(text)?.[1] ?? 0);

const read = (file: (what: string) => string): Pressure | null => {
  try {
    const of = (what: string) => parsePressure(readFileSync(file(what), 'utf8'));
    return { cpu: of('cpu'), memory: of('memory'), io: of('io') };
  } catch (error) {
    // EOPNOTSUPP: built in and turned off.
    if (isErrno(error, 'ENOENT', 'ENODEV', 'EOPNOTSUPP')) return null;
    throw error;
  }
};

export const groupPressure = (group: string): Pressure | null => read((what) => `${group}/${what}.pressure`);
export const hostPressure = (): Pressure | null => read((what) => `/proc/pressure/${what}`);
