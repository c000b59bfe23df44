/** One health check: the command's exit code says it, and too slow is a failure. */
import type { Host } from '../host.ts';
import type { HealthPlan } from './health.ts';
import { pause } from './health.ts';
import type { Run } from './run.ts';

export const probeHealth = async (host: Host, id: string, run: Run, plan: HealthPlan): Promise<boolean> => {
  const over = new AbortController();
  try {
    const session = await host.runtime.exec(id, { command: plan.command, tty: false, stdin: false }, run.defaults());
    session.stdout.resume();
    session.stderr?.resume();
    const late = pause(plan.timeoutMs, over.signal).then(() => null);
    const exit = await Promise.race([session.exited, late]);
    if (exit === null) session.close();
    return exit?.code === 0;
  } catch {
    return false; // the machine is ending, or has no such command: not healthy either way
  } finally {
    over.abort();
  }
};
