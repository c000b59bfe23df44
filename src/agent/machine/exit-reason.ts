/** How a machine ended, in words. */
import { constants } from 'node:os';
import type { MachineExit } from '../../model/machine.ts';

const signalNames = new Map<number, string>(Object.entries(constants.signals).map(([name, number]) => [number, name]));

/** `code` as conmon writes it: 128 + signal when one ended it. `oomKills`: how often the kernel killed inside for want of memory; `limitMib`: what it could have at most when it ended. */
export const exitOf = (code: number, at: string, oomKills: number, limitMib: number): MachineExit => {
  const signal = code > 128 && code < 128 + 65 ? (signalNames.get(code - 128) ?? null) : null;
  const outOfMemory = oomKills > 0 && code === 137;
  const reason = outOfMemory
    ? `killed for want of memory: it had all of the ${Math.round(limitMib)}M that it may have`
    : signal !== null
      ? `ended by ${signal}`
      : `exited with code ${code}${oomKills > 0 ? ` after ${oomKills} of its processes were killed for want of memory` : ''}`;
  return { code, signal, outOfMemory, at, reason };
};
