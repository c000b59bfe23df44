/**
 * The governor's core: pure, from what is known and what was read to what is to be done. Memory only; CPU needs no governor but for
 * metered bursting (cpu-bank.ts), since the kernel's weights give a waking machine its share at once.
 *
 * While the pool has plenty, nothing is held and only two numbers are read, however many machines there are; all are looked at, at a
 * bounded rate, only when these have changed. Once so much is lent that not all guarantees could be claimed without taking back, the kernel
 * is told who is not to be swapped, and when it could come to that before anybody else governs, who borrows: for the case that there is no
 * governor then. When the pool gets tight, those above their guarantees are watched and held to what they use and their part of what is free
 * above a reserve. When the reserve is touched, borrowed memory is taken back: cache first, then memory of its own to swap, from the largest
 * borrower relative to its guarantee. Where nothing is left to reclaim, or less than is missing since they hold the kernel's own memory, and
 * the reserve is half gone, a process inside such a borrower is killed. As long as claims take of the reserve, and shortly after, those within
 * their guarantees are barred from swap (bars.ts). Should the kernel have to kill first, because it all goes too fast or because there is no
 * governor any more, it begins with borrowers.
 */
import { gaveLittle } from '../../host/cgroup/pool-memory.ts';
import type { HostMemory, PoolTotals } from '../../host/cgroup/pool-memory.ts';
import { placeBars, sinceMet } from './bars.ts';
import { assertEveryMs, BorrowerRound, isWorthOffering } from './borrowers.ts';
import { lastReport, worthTelling } from './report.ts';
import { isLent, looseAbove, lookAfterMs, reserveFor, soonerForBorrowers, takenUnattended, tightBelow, worthALook } from './reserve.ts';
import type { Action, Decision, GovernorState, Look, MachineReading, Outcome, Readings, Watch } from './types.ts';

export interface Tuning {
  cpus: number;
  /** What the host keeps available for itself, whatever the pool has. */
  hostFloorBytes: number;
}

/** A start that knows nothing but what a former governor left: the first look is at all machines. */
export const freshState: GovernorState = {
  isTight: true,
  watched: new Map(),
  usedAtLook: new Map(),
  poolAtLookBytes: 0,
  unclaimedBytes: Infinity,
  unclaimedAtLook: new Map(),
  unclaimedAtLookBytes: Infinity,
  lookedAtMs: -Infinity,
  toldAtMs: new Map(),
  claimant: null,
  barred: new Set(),
  metSinceMs: -Infinity,
};

export const freshWatch: Watch = {
  needSinceMs: null,
  lastTakenMs: -Infinity,
  reclaimedBytes: 0,
  dryUntilMs: -Infinity,
  drySinceMs: null,
  leftBytes: Infinity,
  protection: null,
  isSwapHeld: false,
  isOffered: false,
  assertedAtMs: -Infinity,
  isToldHeld: false,
};

/** Looks at all machines cost at most this part of a core: little in calm, more in need. */
const calmShare = 0.003;
const needShare = 0.2;
/** While nobody borrows there is nobody to take from; only who begins to is to be seen. */
const nobodyMs = 25;
const mib = 2 ** 20;

export const headroomOf = (pool: PoolTotals, host: HostMemory, tuning: Tuning): number =>
  Math.min(pool.limitBytes - pool.usedBytes, host.availableBytes - tuning.hostFloorBytes);

export const decide = (before: GovernorState, readings: Readings, nowMs: number, tuning: Tuning): Decision => {
  const decision = judge(before, readings, nowMs, tuning);
  return decision.reports.length === 0 ? decision : { ...decision, ...worthTelling(decision.reports, decision.state, nowMs) };
};

const judge = (before: GovernorState, readings: Readings, nowMs: number, tuning: Tuning): Decision => {
  const { pool, host, look } = readings;
  const headroomBytes = headroomOf(pool, host, tuning);
  const isTight = headroomBytes < (before.isTight ? looseAbove(pool.limitBytes) : tightBelow(pool.limitBytes));
  const metSinceMs = sinceMet(before, readings.pool, nowMs);
  const noted: GovernorState = { ...before, isTight, metSinceMs, watched: noteOutcomes(before.watched, readings.outcomes, nowMs) };
  const actions: Action[] = [];
  const stock = look === 'all' ? takeStock(noted, readings, nowMs) : look === 'watched' ? { ...noted, unclaimedBytes: unclaimedNow(noted, readings) } : noted;
  const mayBeMissed = isTight || isLent(readings.pool.limitBytes, headroomBytes, stock.unclaimedBytes);
  const state = placeBars(stock, before, readings, mayBeMissed, nowMs, actions);
  const room = { headroomBytes, reserveBytes: reserveFor(pool.limitBytes, state.unclaimedBytes) };
  const dropped = readings.machines.filter(({ id }) => !isTight || !state.watched.has(id));
  const reports = dropped.flatMap((one) => lastReport(one, noted, readings, room, nowMs));
  const lookAll: Decision['next'] = { look: 'all', afterMs: 0 };
  // What the last full look said is old by now: who borrows, who claims.
  if (isTight && !before.isTight && look !== 'all') return { state, actions, reports, next: lookAll };
  if (!isTight) return { ...letGo(state, readings, actions, tuning, headroomBytes, nowMs), reports };

  const round = new BorrowerRound(state, readings, room, nowMs).act();
  const next = wantsAll(state, readings, headroomBytes < room.reserveBytes, nowMs)
    ? lookAll
    : { look: 'watched' as Look, afterMs: Math.max(round.watched.size > 0 ? 0 : nobodyMs, lookAfterMs(Math.max(0, headroomBytes), tuning.cpus)) };
  return { state: { ...state, watched: round.watched }, actions: [...actions, ...round.actions], reports: [...reports, ...round.reports], next };
};

/** Plenty: nobody is held, and once nobody is, nobody is looked at until something has changed. */
const letGo = (
  state: GovernorState,
  { machines, look, pool, lookCostMs }: Readings,
  actions: Action[],
  tuning: Tuning,
  headroomBytes: number,
  nowMs: number,
): Omit<Decision, 'reports'> => {
  const watched = new Map<string, Watch>();
  let isReleasing = false;
  const mayBeMissed = state.unclaimedBytes > 0 && isLent(pool.limitBytes, headroomBytes - takenUnattended(tuning.cpus), state.unclaimedBytes);
  for (const one of machines) {
    const { isSwapHeld, isOffered: wasOffered, assertedAtMs } = state.watched.get(one.id) ?? freshWatch;
    const isOffered = mayBeMissed && isWorthOffering(one, wasOffered);
    // A machine that was started anew has new processes.
    const isWritten = isOffered !== wasOffered || (isOffered && nowMs - assertedAtMs > assertEveryMs);
    if (isOffered && !wasOffered) actions.push({ do: 'protect', machine: one.id, protection: 'none' });
    if (isWritten) actions.push({ do: 'offer', machine: one.id, isOffered });
    const isHeld = isSwapHeld || one.limitBytes < one.ceilingBytes;
    if (isSwapHeld) actions.push({ do: 'swap', machine: one.id, isAllowed: true, ceilingBytes: one.ceilingBytes });
    else if (isHeld) actions.push({ do: 'limit', machine: one.id, bytes: one.ceilingBytes, maySwap: true });
    if (isHeld || isOffered) watched.set(one.id, { ...freshWatch, isOffered, assertedAtMs: isWritten ? nowMs : assertedAtMs });
    isReleasing ||= isHeld;
  }
  const hasChanged = Math.abs(pool.usedBytes - state.poolAtLookBytes) > worthALook(pool.limitBytes);
  const afterMs = lookAfterMs(headroomBytes, tuning.cpus, mayBeMissed ? soonerForBorrowers : 1);
  const mayLook = nowMs - state.lookedAtMs >= lookCostMs / calmShare;
  return {
    state: { ...state, watched: look === 'totals' ? state.watched : watched, claimant: null },
    actions,
    next: isReleasing ? { look: 'watched', afterMs: 20 } : hasChanged && mayLook ? { look: 'all', afterMs: 0 } : { look: 'totals', afterMs },
  };
};

const unclaimedOf = ({ guaranteeBytes, usedBytes }: MachineReading): number => Math.max(0, guaranteeBytes - usedBytes);

/** Between looks at all those that are watched are seen: what one of them has come down below its guarantee it may claim at any moment. */
const unclaimedNow = ({ unclaimedAtLookBytes, unclaimedAtLook }: GovernorState, { machines }: Readings): number =>
  machines.reduce((sum, one) => sum + unclaimedOf(one) - (unclaimedAtLook.get(one.id) ?? 0), unclaimedAtLookBytes);

/** After a look at all: who is watched, what is unclaimed, and who claims. */
const takeStock = (state: GovernorState, { machines, pool }: Readings, nowMs: number): GovernorState => {
  const watched = new Map<string, Watch>();
  const unclaimedAtLook = new Map(machines.map((one) => [one.id, unclaimedOf(one)]));
  const unclaimedBytes = unclaimedAtLook.values().reduce((sum, bytes) => sum + bytes, 0);
  let claimed = mib;
  let claimant: string | null = null;
  for (const one of machines) {
    const borrows = one.usedBytes > one.guaranteeBytes;
    const { isSwapHeld, isOffered } = state.watched.get(one.id) ?? freshWatch;
    const isHeld = one.limitBytes < one.ceilingBytes || isSwapHeld || isOffered;
    if (borrows || isHeld) watched.set(one.id, { ...(state.watched.get(one.id) ?? freshWatch), protection: null });
    if (borrows) continue;
    const grown = one.usedBytes - (state.usedAtLook.get(one.id) ?? one.usedBytes);
    if (grown > claimed) [claimed, claimant] = [grown, one.id];
  }
  return {
    ...state,
    watched,
    unclaimedBytes,
    unclaimedAtLook,
    unclaimedAtLookBytes: unclaimedBytes,
    usedAtLook: new Map(machines.map((one) => [one.id, one.usedBytes])),
    poolAtLookBytes: pool.usedBytes,
    lookedAtMs: nowMs,
    claimant: claimant ?? state.claimant,
  };
};

/**
 * Whether those that are not watched have changed so much since the last look that it says little any more, or those that are have come down
 * below their guarantees, or up again, by so much: they are to be barred like anybody who claims. And whether another look is affordable.
 */
const wantsAll = (state: GovernorState, { look, machines, pool, lookCostMs }: Readings, isNeed: boolean, nowMs: number): boolean => {
  if (look === 'all') return false;
  const since = nowMs - state.lookedAtMs;
  if (since < Math.max(10, lookCostMs / (isNeed ? needShare : calmShare))) return false;
  const watchedGrowth = machines.reduce((sum, one) => sum + one.usedBytes - (state.usedAtLook.get(one.id) ?? 0), 0);
  const othersGrowth = pool.usedBytes - state.poolAtLookBytes - watchedGrowth;
  const isMuch = (bytes: number): boolean => Math.abs(bytes) > Math.max(mib, reserveFor(pool.limitBytes, state.unclaimedBytes) / 16);
  return isMuch(othersGrowth) || isMuch(state.unclaimedBytes - state.unclaimedAtLookBytes) || since > 5000;
};

const noteOutcomes = (watched: ReadonlyMap<string, Watch>, outcomes: readonly Outcome[], nowMs: number): ReadonlyMap<string, Watch> => {
  if (outcomes.length === 0) return watched;
  const noted = new Map(watched);
  for (const { machine, askedBytes, freedBytes, leftBytes } of outcomes) {
    const watch = noted.get(machine);
    if (watch === undefined) continue;
    const isDry = gaveLittle(askedBytes, freedBytes);
    noted.set(machine, {
      ...watch,
      reclaimedBytes: watch.reclaimedBytes + freedBytes,
      lastTakenMs: freedBytes > 0 ? nowMs : watch.lastTakenMs,
      dryUntilMs: isDry ? nowMs + 500 : watch.dryUntilMs,
      drySinceMs: isDry ? (watch.drySinceMs ?? nowMs) : null,
      leftBytes,
    });
  }
  return noted;
};
