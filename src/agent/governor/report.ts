/** What is told of a need that has taken from a machine. */
import type { GovernorState, MachineReading, Numbers, Readings, Report, Watch } from './types.ts';

export interface Room {
  headroomBytes: number;
  reserveBytes: number;
}

/** The least of what is the instance's and what the host has. */
export const swapLeftOf = ({ pool, host }: Pick<Readings, 'pool' | 'host'>): number => Math.min(pool.swapLeftBytes, host.swapFreeBytes);

export const numbersOf = (one: MachineReading, watch: Watch, state: GovernorState, readings: Readings, room: Room): Numbers => ({
  usedBytes: one.usedBytes,
  guaranteeBytes: one.guaranteeBytes,
  ceilingBytes: one.ceilingBytes,
  limitBytes: one.limitBytes,
  ...room,
  swapFreeBytes: Math.max(0, swapLeftOf(readings)),
  reclaimedBytes: watch.reclaimedBytes,
  claimant: state.claimant,
});

const mib = 2 ** 20;
/** A neighbour that comes and goes every second must not fill the log of events. */
const littleBytes = 16 * mib;
const littlePauseMs = 60_000;
const muchPauseMs = 5000;

/** What is worth an event: much, or the first in a while. */
export const worthTelling = (reports: readonly Report[], state: GovernorState, nowMs: number): { reports: Report[]; state: GovernorState } => {
  const told = new Map([...state.toldAtMs].filter(([, at]) => nowMs - at < littlePauseMs));
  const keyOf = ({ type, machine }: Report): string => `${type} ${machine}`;
  const kept = reports.filter((report) => {
    const since = nowMs - (told.get(keyOf(report)) ?? -Infinity);
    return since >= (report.numbers.reclaimedBytes >= littleBytes ? muchPauseMs : littlePauseMs);
  });
  for (const report of kept) told.set(keyOf(report), nowMs);
  return { reports: kept, state: { ...state, toldAtMs: told } };
};

/** For one that is not watched any more: the rest of what was taken, if there is any. */
export const lastReport = (one: MachineReading, state: GovernorState, readings: Readings, room: Room, nowMs: number): Report[] => {
  const watch = state.watched.get(one.id);
  if (watch === undefined || watch.needSinceMs === null || watch.reclaimedBytes === 0) return [];
  const numbers = numbersOf(one, watch, state, readings, room);
  return [{ type: 'reclaimed', machine: one.id, numbers, milliseconds: Math.round(nowMs - watch.needSinceMs) }];
};
