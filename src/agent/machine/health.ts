/** Health checks as the image asks for them (Docker's Healthcheck): a command run inside, again and again. */
import type { HealthCheck } from '../../model/event.ts';
import type { ImageConfig } from '../../model/image.ts';

export type HealthState = 'none' | 'starting' | 'healthy' | 'unhealthy';

export interface HealthPlan {
  command: string[];
  intervalMs: number;
  timeoutMs: number;
  startPeriodMs: number;
  retries: number;
}

const milliseconds = (nanoseconds: number | undefined, otherwise: number) =>
  nanoseconds === undefined || nanoseconds === 0 ? otherwise : Math.max(1, nanoseconds / 1e6);

export const healthPlan = (config: ImageConfig): HealthPlan | null => {
  const check = config.Healthcheck;
  if (check === undefined || check.Test[0] === 'NONE') return null;
  const [kind, ...rest] = check.Test;
  const command = kind === 'CMD' ? rest : ['/bin/sh', '-c', kind === 'CMD-SHELL' ? (rest[0] ?? 'true') : check.Test.join(' ')];
  return {
    command,
    intervalMs: milliseconds(check.Interval, 30_000),
    timeoutMs: milliseconds(check.Timeout, 30_000),
    startPeriodMs: milliseconds(check.StartPeriod, 0),
    retries: check.Retries || 3,
  };
};

/** Watches one run; each change of its health is reported with the check that made it. Stops with the signal. */
export const watchHealth = async (
  plan: HealthPlan,
  probe: (plan: HealthPlan) => Promise<HealthCheck>,
  report: (state: HealthState, check: HealthCheck) => void,
  signal: AbortSignal,
): Promise<void> => {
  const startedAt = performance.now();
  let failures = 0;
  let state: HealthState = 'starting';
  const become = (next: HealthState, check: HealthCheck) => {
    if (next !== state) report((state = next), check);
  };
  // The first checks come quickly, so that a machine that is up is known to be up.
  for (
    let pauseMs = Math.min(250, plan.intervalMs);
    !signal.aborted;
    pauseMs = state === 'starting' ? Math.min(pauseMs * 2, plan.intervalMs) : plan.intervalMs
  ) {
    await pause(pauseMs, signal);
    if (signal.aborted) return;
    const check = await probe(plan);
    if (check.code === 0) {
      failures = 0;
      become('healthy', check);
    } else if (state !== 'starting' || performance.now() - startedAt > plan.startPeriodMs) {
      failures += 1;
      if (failures >= plan.retries) become('unhealthy', check);
    }
  }
};

export const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
