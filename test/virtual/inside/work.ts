/**
 * Seeded work on an instance, until the power goes: `work.ts SEED LANES`. Each lane has one machine at a time and does one thing after
 * another to it; before each thing it writes a line that says so, and one when it was acknowledged. The other side of the serial line
 * (power-loss.ts) remembers them.
 */
import { writeSync } from 'node:fs';
import { jsonLine } from '../../../src/base/json-lines.ts';
import { ControlClient } from '../../../src/client/control.ts';
import type { Accepted } from '../../../src/model/control-api.ts';
import { defaultRoot, instancePaths } from '../../../src/model/instance.ts';
import { random } from '../../support/random.ts';
import { shell } from './exec.ts';

export const verbs = ['create', 'write', 'snapshot', 'rollback', 'drop', 'stop', 'start', 'delete'] as const;

export interface Step {
  lane: number;
  verb: (typeof verbs)[number];
  /** Of the lane's machine. */
  machine: string;
  /** What is written, or the snapshot's name. */
  value: string;
}

export interface Line extends Step {
  phase: 'begun' | 'acknowledged' | 'refused';
  reason?: string;
}

export const dataPath = '/srv/value';

/** What a lane's machine is, as far as it decides what can be done next. */
interface Lane {
  exists: boolean;
  running: boolean;
  snapshots: string[];
}

const jobSeconds = 300;
const socket = instancePaths(defaultRoot).controlSocket;

export const nextStep = (lane: number, state: Lane, round: number, next: (below: number) => number): Step => {
  const step = (verb: Step['verb'], value = ''): Step => ({ lane, verb, machine: `lane-${lane}`, value });
  if (!state.exists) return step('create');
  const snapshot = state.snapshots[next(Math.max(1, state.snapshots.length))];
  const choices: Step[] = [
    ...(state.running
      ? [step('write', `${lane}-${round}`), step('write', `${lane}-${round}`), step('write', `${lane}-${round}`), step('stop')]
      : [step('start')]),
    ...(state.snapshots.length < 3 ? [step('snapshot', `s${round}`)] : []),
    ...(snapshot === undefined ? [] : [step('rollback', snapshot), step('drop', snapshot)]),
    ...(next(4) === 0 ? [step('delete')] : []),
  ];
  return choices[next(choices.length)]!;
};

const main = async (): Promise<void> => {
  const [seed, lanes] = process.argv.slice(2).map(Number) as [number, number];
  using control = new ControlClient(socket);
  await Promise.all(Array.from({ length: lanes }, (_, lane) => work(control, lane, random(seed * 1000 + lane))));
};

const work = async (control: ControlClient, lane: number, next: (below: number) => number): Promise<void> => {
  const state: Lane = { exists: false, running: false, snapshots: [] };
  for (let round = 0; ; round += 1) {
    const step = nextStep(lane, state, round, next);
    say({ ...step, phase: 'begun' });
    try {
      await take(control, step);
      say({ ...step, phase: 'acknowledged' });
      follow(state, step);
    } catch (error) {
      // Every step is possible when it is begun: this ends the run, and fails the test.
      say({ ...step, phase: 'refused', reason: String(error) });
      return;
    }
  }
};

const follow = (state: Lane, { verb, value }: Step): void => {
  if (verb === 'create') Object.assign(state, { exists: true, running: true, snapshots: [] });
  if (verb === 'delete') state.exists = false;
  if (verb === 'start' || verb === 'stop') state.running = verb === 'start';
  if (verb === 'snapshot') state.snapshots.push(value);
  if (verb === 'drop') state.snapshots = state.snapshots.filter((name) => name !== value);
};

const take = async (control: ControlClient, { verb, machine, value }: Step): Promise<void> => {
  const wait = { wait: jobSeconds };
  if (verb === 'write') {
    // Durable by the program's own means: a new file, synced, renamed, and its directory synced.
    const { code, output } = await shell(
      socket,
      machine,
      `echo ${value} > ${dataPath}.new && sync ${dataPath}.new && mv ${dataPath}.new ${dataPath} && sync /srv`,
    );
    if (code !== 0) throw new Error(`write ended with code ${code}: ${output}`);
    return;
  }
  const actions: Record<Exclude<Step['verb'], 'write'>, () => Promise<Accepted>> = {
    create: () => control.machineCreate({ name: machine, command: ['/bin/sleep', '1000000'], resources: { diskMib: 64 }, stopGraceSeconds: 0 }, wait),
    start: () => control.machineStart(machine, wait),
    stop: () => control.machineStop(machine, {}, wait),
    snapshot: () => control.snapshotCreate(machine, { name: value }, wait),
    rollback: () => control.snapshotRollback(machine, value, wait),
    drop: () => control.snapshotDelete(machine, value, wait),
    delete: () => control.machineDelete(machine, wait),
  };
  const { job } = await actions[verb]();
  if (job.state !== 'succeeded') throw new Error(`${job.action} ended ${job.state}: ${job.reason}`);
};

/** At once, whatever happens next. */
const say = (line: Line): void => void writeSync(1, jsonLine(line));

if (import.meta.main) await main();
