/**
 * How far machines within their guarantees are kept from swap. Spared is enough while nothing is missing, and safe for whoever governs next, or
 * nobody. As long as claims take of the pool's reserve the kernel reclaims at the pool's limit, and takes a little of those that are spared,
 * too (host/cgroup/pool-memory-v1.ts): who has no lower limit of its own, which it could come to, is barred then, and spared again soon after.
 */
import type { PoolTotals } from '../../host/cgroup/pool-memory.ts';
import { givesBytes } from './borrowers.ts';
import { reserveFor } from './reserve.ts';
import type { Action, GovernorState, MachineReading, Readings } from './types.ts';

/** Claims come in parts; bars are not lifted in between. */
const liftAfterMs = 500;

/** Since when nothing was missing of the pool's reserve; null while something is. What the host lacks for its own reasons is no claim. */
export const sinceMet = ({ metSinceMs, unclaimedBytes }: GovernorState, { limitBytes, usedBytes }: PoolTotals, nowMs: number): number | null =>
  limitBytes - usedBytes < reserveFor(limitBytes, unclaimedBytes) ? null : (metSinceMs ?? nowMs);

/** Whether all that may still be claimed is free or can be taken back: where it is not, the kernel is to swap rather than kill. */
const isCovered = ({ unclaimedBytes }: GovernorState, { machines, pool }: Readings): boolean =>
  pool.limitBytes - pool.usedBytes + machines.reduce((sum, one) => sum + givesBytes(one), 0) >= unclaimedBytes;

/**
 * After a look at all, all are written to and none remembered: a machine that was started anew has a new group. Those that are watched get
 * theirs with what else is done to them. A governor's first look takes away what a former one has left.
 */
export const placeBars = (
  state: GovernorState,
  before: GovernorState,
  readings: Readings,
  mayBeMissed: boolean,
  nowMs: number,
  actions: Action[],
): GovernorState => {
  const { isTight, metSinceMs, watched } = state;
  const isMissing = isTight && (metSinceMs === null || nowMs - metSinceMs < liftAfterMs);
  if (readings.look !== 'all') {
    if (isMissing || before.barred.size === 0) return state;
    for (const machine of before.barred) actions.push({ do: 'protect', machine, protection: 'spared' });
    return { ...state, barred: new Set() };
  }
  const { machines, pool } = readings;
  const isFirst = before.lookedAtMs === -Infinity;
  const mayBar = isMissing && isCovered(state, readings);
  const isBarred = (one: MachineReading): boolean => mayBar && !watched.has(one.id) && one.ceilingBytes >= pool.limitBytes;
  const barred = new Set(machines.flatMap((one) => (isBarred(one) ? [one.id] : [])));
  for (const { id } of machines) {
    if (watched.has(id) && isTight) continue;
    if (!mayBeMissed && !isFirst && !before.barred.has(id)) continue;
    const otherwise = mayBeMissed && !watched.has(id) ? 'spared' : 'none';
    actions.push({ do: 'protect', machine: id, protection: barred.has(id) ? 'barred' : otherwise });
  }
  return { ...state, barred };
};
