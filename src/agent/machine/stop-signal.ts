/**
 * The stop signal, so that it arrives. To the first process of a pid namespace the kernel delivers only signals that it catches (or holds
 * back, to take them one by one); all others are dropped without a word, be it `sleep`, a shell that runs the app, or an app that
 * is still starting. So with a young program the signal waits a moment until it is caught. If it is not, it goes to the processes below
 * instead: a shell ends after its child has; and where there is none, nothing would ever see it.
 *
 * Node without a handler of the app's own catches SIGTERM and SIGINT, puts back the default action and raises the signal again, to die of
 * it: which, to the first process, is dropped too. That no longer heeds the signal, but neither does an app that took it by `once` and now
 * answers its last requests. They differ in one thing: an app's own handler is called through a pipe that Node itself has to write into.
 */
import { within } from '../../base/within.ts';
import type { Host } from '../host.ts';

const youngMs = 10_000;
const patienceMs = 1000;
const pollMs = 20;

export interface Stopped<T> {
  machine: string;
  firstPid: number;
  startedMs: number;
  /** Resolves with the end of the first process. */
  exited: Promise<T>;
}

/** The end, if it came within the grace; null when it has to be killed: at once where nothing in the machine can have heard the signal. */
export const askToEnd = async <T>(host: Host, stopped: Stopped<T>, signal: number, graceMs: number): Promise<T | null> => {
  const { exited } = stopped;
  const deadline = performance.now() + graceMs;
  const rest = () => within(exited, Math.max(0, deadline - performance.now()));
  const reached = await signalFirst(host, stopped, signal, graceMs);
  return reached || (await signalOthers(host, stopped, signal)) ? rest() : null;
};

/** Whether the first process has ended or deals with the signal. */
const signalFirst = async (host: Host, { machine, startedMs, exited }: Stopped<unknown>, signal: number, graceMs: number): Promise<boolean> => {
  const { runtime } = host;
  const begun = performance.now();
  const patience = begun - startedMs < youngMs ? Math.min(patienceMs, graceMs) : 0;
  while (runtime.heeds(machine, signal) === false) {
    if (performance.now() - begun >= patience) return false;
    if ((await within(exited, pollMs)) !== null) return true;
  }
  const wrote = runtime.nodeWrites(machine);
  await runtime.signal(machine, signal);
  if (wrote === null) return true;
  // A handler is called as soon as the thread runs: within the first moments, or it is a program's own.
  for (let pauseMs = 1; pauseMs <= Math.min(patienceMs, graceMs); pauseMs *= 2) {
    await within(exited, pauseMs);
    if (runtime.heeds(machine, signal) === false) return runtime.nodeWrites(machine) !== wrote;
  }
  return true;
};

/** False when there are none. */
const signalOthers = async (host: Host, { machine, firstPid }: Stopped<unknown>, signal: number): Promise<boolean> => {
  const others = (await host.cgroups.processes(machine)).filter((pid) => pid !== firstPid);
  for (const pid of others) {
    try {
      process.kill(pid, signal);
    } catch {
      // it has ended since
    }
  }
  return others.length > 0;
};
