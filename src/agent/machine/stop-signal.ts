/**
 * The stop signal, so that it arrives. To the first process of a pid namespace the kernel delivers only signals that it catches (or holds
 * back, to take them one by one); all others are dropped without a word, be it `sleep`, a shell that runs the app, or an app that
 * is still starting. So the signal waits a moment until it is caught. If it is not, it goes to the processes below instead:
 * a shell ends after its child has; and where there is none, nothing would ever see it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Host } from '../host.ts';

const patienceMs = 1000;
const pollMs = 20;

/** False when nothing in the machine can have heard it: then there is nothing to wait for. */
export const sendStop = async (host: Host, machine: string, firstPid: number, signal: number, graceMs: number, ended: () => boolean): Promise<boolean> => {
  for (const deadline = performance.now() + Math.min(patienceMs, graceMs); ; await sleep(pollMs)) {
    const heeded = host.runtime.heeds(machine, signal);
    if (ended() || heeded === null) return true;
    if (heeded) {
      await host.runtime.signal(machine, signal);
      return true;
    }
    if (performance.now() >= deadline) break;
  }
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
