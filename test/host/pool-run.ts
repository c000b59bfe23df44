/** Many trials of the pool's memory in a row: mostly in the usual way, at times with the agent killed in the middle or standing still, at times with no swap left. */
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { mibOfBytes } from '../../src/base/units.ts';
import { ifPresent, tableOf } from '../../src/host/cgroup/files.ts';
import { idleMemoryTakers } from '../../src/setup/doctor/idle-memory.ts';
import type { TestInstance } from '../support/instance.ts';
import { kernelMemory } from '../support/kernel-memory.ts';
import type { OwnServices } from '../support/own-services.ts';
import { random } from '../support/random.ts';
import { PoolWorld, missedMib, poolMib } from './pool-trials.ts';
import type { Trial } from './pool-trials.ts';

const letGoMs = 30_000;
/** Worth a word on why. */
const muchSwappedMib = 20;
const slowClaimMs = 10_000;
/** The governor reads limits of the pool once a second. */
export const seenMs = 1100;
/** Of one that stands still, by the stand-in. */
const endedAfterMs = 30_000;

export interface PoolRun {
  seed: number;
  trials: number;
  /** No trial begins later; for who has to share the host with others. */
  minutes: number;
  note: (text: string) => void;
}

/** The agent ends somewhere in a claim; what it left, and who stands in, must do until the next one is there. */
export const governorDies = async (
  world: PoolWorld,
  instance: TestInstance,
  services: OwnServices,
  seed: number,
  signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL',
): Promise<Trial> => {
  const trial = await world.trial(seed, {
    leastMib: missedMib,
    meanwhile: async (below) => {
      await sleep(below(250));
      await services.stop('agent', signal);
    },
  });
  assert.equal(await services.startAgent(), true);
  await letGo(world, instance, services, trial);
  return trial;
};

/**
 * The agent stands still, in the middle of a claim or since a while before it; then it goes on, and not one that was started anew. On a
 * host so busy that a trial takes half a minute the stand-in has ended it.
 */
export const governorStandsStill = async (
  world: PoolWorld,
  instance: TestInstance,
  services: OwnServices,
  seed: number,
  since: 'before' | 'meanwhile',
): Promise<Trial> => {
  const pid = services.pidOf('agent');
  const lives = () => services.agentProcess?.end === null;
  const standStill = () => {
    if (lives()) process.kill(pid, 'SIGSTOP');
  };
  const begunMs = performance.now();
  if (since === 'before') {
    standStill();
    await sleep(seenMs);
  }
  let trial: Trial;
  let wasEnded = false;
  try {
    trial = await world.trial(seed, {
      leastMib: missedMib,
      // Who begins to borrow while nobody governs yet is known to the kernel by size alone (docs/architecture.md, the stand-in).
      mayGrow: since === 'before' || !world.isDry,
      meanwhile: async (below) => {
        await sleep(below(250));
        standStill();
      },
    });
  } finally {
    wasEnded = !lives();
    if (!wasEnded) process.kill(pid, 'SIGCONT');
  }
  if (wasEnded) {
    assert.ok(performance.now() - begunMs > endedAfterMs, 'it was ended too early');
    assert.equal(await services.startAgent(), true);
  }
  await letGo(world, instance, services, trial);
  assert.ok(wasEnded || (services.pidOf('agent') === pid && lives()), 'the agent lives');
  return trial;
};

/** Once an agent governs again. */
const letGo = async (world: PoolWorld, instance: TestInstance, services: OwnServices, { seed, borrowerLost }: Trial): Promise<void> => {
  await services.reachable();
  if (borrowerLost > 0) await world.renewBorrower();
  for (const deadline = Date.now() + letGoMs; ifPresent(() => kernelMemory(instance.instance, world.borrower.id))?.limitMib !== poolMib; await sleep(20))
    if (Date.now() > deadline) throw new Error(`seed ${seed}: the borrower is not let go`);
  await world.settled();
};

/** With what the pool has of swap used up, and the governor alive. */
export const swapIsOut = async (world: PoolWorld, seed: number): Promise<Trial> => {
  world.withoutSwap();
  await sleep(seenMs);
  const trial = await world.trial(seed, { leastMib: missedMib });
  if (trial.borrowerLost > 0) await world.renewBorrower();
  await world.settled();
  return trial;
};

const logLength = ({ paths }: OwnServices): number => statSync(`${paths.log}/agent.log`).size;

/** What the agent said of its governor's coming late since its log was so long. */
const lateness = ({ paths }: OwnServices, from: number): string => {
  const log = readFileSync(`${paths.log}/agent.log`).subarray(from).toString();
  const told = log.split('\n').filter((line) => /came late|stood still/.test(line));
  return told.length === 0 ? 'its governor was never late' : told.join('\n');
};

/**
 * MiB that the kernel has swapped, and what of that was not for want of memory: it counts as stolen what reclaim takes, and not what DAMON
 * does (mm/vmscan.c: `shrink_inactive_list` against `reclaim_folio_list`).
 */
const swapOuts = (): { allMib: number; unaskedMib: number } => {
  const { pswpout = 0, pgsteal_anon: stolen = 0 } = tableOf(readFileSync('/proc/vmstat', 'utf8'));
  const mib = (pages: number) => mibOfBytes(pages * 4096);
  return { allMib: mib(pswpout), unaskedMib: mib(pswpout - stolen) };
};

/** Who else may have swapped it. */
const byOthers = (before: ReturnType<typeof swapOuts>): string => {
  if (idleMemoryTakers().length === 0) return '';
  const now = swapOuts();
  const [all, unasked] = [now.allMib - before.allMib, now.unaskedMib - before.unaskedMib].map((mib) => Math.max(0, Math.round(mib)));
  return `; the kernel was told to swap idle memory, whosever it is (doctor: idle memory): of ${all} MiB that it swapped in that trial at least ${unasked} were such`;
};

/** Throws when a law is broken; the result tells of the rest. */
export const runPoolTrials = async (instance: TestInstance, services: OwnServices, { seed, trials, minutes, note }: PoolRun): Promise<string> => {
  await services.startBoth();
  const world = await PoolWorld.make(instance, services.control);
  const claims: number[] = [];
  let slowest: { seed: number; claimMs: number; how: string } = { seed, claimMs: 0, how: '' };
  let swappedMib = 0;
  const counts = { deaths: 0, standstills: 0, withoutSwap: 0, borrowerKills: 0, lost: 0 };
  const tell = () => {
    const sorted = claims.toSorted((a, b) => a - b);
    const at = (part: number) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0);
    return `${claims.length} trials from seed ${seed}: claims p50 ${at(0.5)}, p99 ${at(0.99)}, slowest ${at(1)} ms (seed ${slowest.seed}${slowest.how}); ${counts.deaths} with the agent killed, ${counts.standstills} with one that stood still, ${counts.withoutSwap} without swap, in which the kernel killed ${counts.borrowerKills} processes of the borrower; in ${counts.lost} it lost some; at most ${swappedMib.toFixed(1)} MiB of neighbours' swapped`;
  };
  const end = Date.now() + minutes * 60_000;
  for (let number = 0; number < trials && Date.now() < end; number += 1) {
    const chance = random(seed + number)(20);
    const one = seed + number;
    const from = logLength(services);
    const swapped = swapOuts();
    const [dies, standsStill, isDry] = [chance < 2, chance === 2 || chance === 3, chance % 2 === 0 && chance < 4];
    if (isDry) {
      counts.withoutSwap += 1;
      counts.borrowerKills += (await swapIsOut(world, one)).borrowerKills;
    }
    let trial: Trial;
    try {
      if (dies) trial = await governorDies(world, instance, services, one);
      else if (standsStill) trial = await governorStandsStill(world, instance, services, one, one % 2 === 0 ? 'before' : 'meanwhile');
      else trial = await world.trial(one);
    } catch (error) {
      note(lateness(services, from));
      note(`before that ${tell()}`);
      throw error;
    }
    if (dies) counts.deaths += 1;
    if (standsStill) counts.standstills += 1;
    if (isDry) counts.borrowerKills += trial.borrowerKills;
    else assert.ok(trial.borrowerKills === 0 || world.mayLose, `seed ${one}: killed in the borrower although there is swap`);
    // It is back with the agent's next start, which one that only stood still has not had.
    if (isDry && standsStill) await services.renewAgent();
    if (isDry) world.withSwap();
    // Without a governor the kernel reclaims alone: how fast is no figure of the pool's.
    if (!dies && !standsStill) swappedMib = Math.max(swappedMib, trial.swappedMib);
    if (trial.swappedMib > muchSwappedMib)
      note(`seed ${one}: ${trial.swappedMib.toFixed(1)} MiB of neighbours' swapped, ${JSON.stringify(trial)}; ${lateness(services, from)}${byOthers(swapped)}`);
    if (trial.claimMs > slowClaimMs) note(`seed ${one}: slow, ${JSON.stringify(trial)}; ${lateness(services, from)}`);
    if (trial.borrowerLost > 0) counts.lost += 1;
    claims.push(trial.claimMs);
    if (trial.claimMs > slowest.claimMs)
      slowest = {
        seed: one,
        claimMs: trial.claimMs,
        how: `${dies ? ', agent killed' : ''}${standsStill ? ', agent stood still' : ''}${isDry ? ', no swap' : ''}`,
      };
    await world.settled();
    if (claims.length % 50 === 0) note(tell());
  }
  return tell();
};
