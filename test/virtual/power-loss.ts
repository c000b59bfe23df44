/**
 * Work on a virtual host, its plug pulled at a random moment, the same disk booted again: all that was acknowledged must be there, in a
 * consistent whole. `runPowerLoss(seed)` is one such life; the work is the seed's, the moment depends on the machine's speed too.
 * `losePower` and `checkComeBack` are its two halves, for a host that is up for other reasons.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { serviceNames } from '../../src/setup/service-list.ts';
import { random } from '../support/random.ts';
import { bringUp, guestNode } from './guest-instance.ts';
import { acceptable, emptyLane } from './lane-model.ts';
import type { LaneState } from './lane-model.ts';
import type { FoundMachine } from './inside/found.ts';
import type { Line, Step } from './inside/work.ts';
import { checkout } from './image.ts';
import { newDisk, startVirtualHost } from './virtual-host.ts';
import type { VirtualHost } from './virtual-host.ts';

const lanes = 2;
const memoryMib = 2048;
const workTimeoutMs = 15 * 60_000;
const inside = (name: string): string => `${guestNode} ${join(checkout, 'test/virtual/inside', name)}`;

export interface PowerLossOutcome {
  seed: number;
  acknowledged: Record<string, number>;
  /** Begun and not acknowledged when the power went. */
  inDoubt: string[];
  seconds: { work: number; comeBack: number };
}

/** What was said to be begun and acknowledged until the power went. */
export interface LostPower {
  seed: number;
  lines: readonly Line[];
  workMs: number;
}

export const runPowerLoss = async (seed: number, note: (text: string) => void = () => {}): Promise<PowerLossOutcome> => {
  await using disk = await newDisk(note);
  let lost: LostPower;
  {
    await using host = await startVirtualHost({ disk, memoryMib, note });
    await bringUp(host, ['--no-hello', '--pool-size', '1G']);
    lost = await losePower(host, seed, 14);
  }
  await using host = await startVirtualHost({ disk, memoryMib, note });
  const begun = performance.now();
  await bringUp(host, ['--no-hello']);
  const outcome = await checkComeBack(host, lost, begun);
  await host.kill();
  return outcome;
};

/** Works, and pulls the plug after at most `mostSteps` steps. Steps are counted, not seconds: an emulated host is as fast as it may be at the time. */
export const losePower = async (host: VirtualHost, seed: number, mostSteps: number): Promise<LostPower> => {
  const next = random(seed);
  const lines: Line[] = [];
  const begun = performance.now();
  await untilAcknowledged(host, seed, 1 + next(mostSteps), lines);
  // Half the time at once: what was acknowledged last must not need the next commit.
  if (next(2) === 0) await sleep(next(1500));
  const workMs = performance.now() - begun;
  await host.kill();
  return { seed, lines, workMs };
};

/** On the same disk, where Cenote is up again since `begun`. Machines of the work are deleted in the end. */
export const checkComeBack = async (host: VirtualHost, { seed, lines, workMs }: LostPower, begun: number): Promise<PowerLossOutcome> => {
  const { states, inDoubt } = follow(lines);
  const all = JSON.parse(await host.succeed(inside('found.ts'), { timeoutMs: 400_000 })) as FoundMachine[];
  const found = all.filter(({ name }) => name !== 'hello');
  const comeBackMs = performance.now() - begun;
  try {
    check(states, inDoubt, found);
    await checkNothingLeaks(host);
  } catch (error) {
    const log = await host.run('tail -n 30 /var/lib/cenote/log/agent.log 2>/dev/null || journalctl -n 30 -o cat -u cenote-default-agent');
    throw new Error(`seed ${seed}: ${String(error)}\n${lines.map((line) => JSON.stringify(line)).join('\n')}\nfound ${JSON.stringify(found)}\n${log.stdout}`, {
      cause: error,
    });
  }
  const acknowledged: Record<string, number> = {};
  for (const { verb, phase } of lines) if (phase === 'acknowledged') acknowledged[verb] = (acknowledged[verb] ?? 0) + 1;
  return { seed, acknowledged, inDoubt: inDoubt.map(describe), seconds: { work: workMs / 1000, comeBack: comeBackMs / 1000 } };
};

const untilAcknowledged = async (host: VirtualHost, seed: number, steps: number, lines: Line[]): Promise<void> => {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onLine = (text: string): void => {
    const line = JSON.parse(text) as Line;
    lines.push(line);
    if (line.phase === 'refused') reject(new Error(`seed ${seed}: ${describe(line)} was refused: ${line.reason}`));
    if (lines.filter(({ phase }) => phase === 'acknowledged').length >= steps) resolve();
  };
  host
    .run(`${inside('work.ts')} ${seed} ${lanes}`, { timeoutMs: workTimeoutMs, onLine })
    .then(({ stdout, stderr }) => reject(new Error(`the work ended by itself: ${stderr}${stdout.slice(-500)}`)), reject);
  await promise;
};

/** Each lane's state after what was acknowledged, and the steps that may or may not have happened. */
const follow = (lines: readonly Line[]): { states: LaneState[]; inDoubt: Step[] } => {
  const states = Array.from({ length: lanes }, emptyLane);
  const open = new Map<number, Step>();
  for (const line of lines) {
    if (line.phase === 'begun') open.set(line.lane, line);
    else {
      open.delete(line.lane);
      states[line.lane] = acceptable(states[line.lane]!, line).at(-1)!;
    }
  }
  return { states, inDoubt: [...open.values()] };
};

const check = (states: readonly LaneState[], inDoubt: readonly Step[], found: readonly FoundMachine[]): void => {
  for (const [lane, state] of states.entries()) {
    const step = inDoubt.find((one) => one.lane === lane);
    const machine = found.find(({ name }) => name === `lane-${lane}`);
    const seen: LaneState =
      machine === undefined ? emptyLane() : { exists: true, running: machine.desired === 'running', data: machine.data, snapshots: machine.snapshots };
    if (machine !== undefined) assert.equal(machine.state, machine.desired, `lane ${lane} is ${machine.state}: ${machine.error}`);
    const allowed = step === undefined ? [state] : acceptable(state, step);
    if (!allowed.some((one) => isSame(one, seen)))
      assert.deepEqual(seen, allowed.at(0), `lane ${lane}${step === undefined ? '' : `, with ${describe(step)} in doubt`}`);
  }
  const known = states.map((_, lane) => `lane-${lane}`);
  assert.deepEqual(
    found.map(({ name }) => name).filter((name) => !known.includes(name)),
    [],
  );
};

const isSame = (one: LaneState, other: LaneState): boolean => {
  try {
    assert.deepEqual(one, other);
    return true;
  } catch {
    return false;
  }
};

/** Groups of the services, which run: exactly these. */
const serving = ['supervisor', ...serviceNames].map((name) => `! -path '*/cenote-default.services/${name}'`).join(' ');

/** With the work's machines deleted, the pool has no volume, the kernel no group, link or mount of one. */
const checkNothingLeaks = async (host: VirtualHost): Promise<void> => {
  await host.succeed(`${checkout}/cenote delete 'lane-*' --yes 2>&1 || [ $? = 4 ]`, { timeoutMs: 300_000 });
  const others = (await host.succeed(`${checkout}/cenote ls --json`)).match(/[0-9a-f]{8}-[0-9a-f-]{27}/g) ?? [];
  const left = await host.succeed(
    [
      'cd /var/lib/cenote/storage/pool && ls -A volumes snapshots 2>/dev/null | grep -E "[0-9a-f]{8}-" || true',
      `find /sys/fs/cgroup/cenote-default* -mindepth 1 -maxdepth 1 -type d ! -name monitors ! -name keeper ${serving}`,
      'find /run/cenote-default/roots /run/cenote-default/bundles /run/cenote-default/files /run/cenote-default/copies -mindepth 1 -maxdepth 1 2>/dev/null || true',
      'dmesg | grep -iE "btrfs.*(error|corrupt)|ext4.*error" || true',
    ].join('; '),
  );
  const unexpected = left.split('\n').filter((line) => line !== '' && !others.some((id) => line.includes(id)));
  assert.deepEqual(unexpected, [], 'left behind');
};

const describe = ({ lane, verb, value }: Step): string => `${verb}${value === '' ? '' : ` ${value}`} in lane ${lane}`;
