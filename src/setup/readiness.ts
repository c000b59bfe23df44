/** Waiting for a service that was started: until it answers, or until it is plain that it cannot start. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CenoteError, messageOf } from '../base/errors.ts';
import type { Step } from './progress.ts';
import type { ServiceName } from './service-list.ts';
import type { ServiceManager } from './services.ts';

const readyTimeoutMs = 120_000;
const pollMs = 50;
const lookMs = 1000;
const linesRead = 20;
/** One such end may be chance; a second for the same reason is not. */
const endsThatTell = 2;
/** Of the lines that services write (pino's levels). */
const fatal = 60;

const called = {
  agent: 'agent',
  control: 'control plane',
  lxcfs: 'lxcfs',
  resolver: 'resolver',
  'stand-in': 'stand-in',
} as const satisfies Record<ServiceName, string>;

/** Why the service ended since `from`, when it ended for that more than once. */
export const fatalReason = (lines: readonly string[], from: number): string | undefined => {
  const ends = new Map<string, number>();
  for (const line of lines) {
    const { level, time, error } = parsed(line);
    if (level !== fatal || typeof error !== 'string' || !(Date.parse(String(time)) >= from)) continue;
    ends.set(error, (ends.get(error) ?? 0) + 1);
  }
  return [...ends].find(([, count]) => count >= endsThatTell)?.[0];
};

const parsed = (line: string): Record<string, unknown> => {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
};

/** Asks until it answers; one that cannot start is told with its reason, or with the last lines it wrote. */
export const answers = async <Result>(
  name: ServiceName,
  ask: () => Promise<Result>,
  { manager, step, signal }: { manager: ServiceManager; step: Step; signal?: AbortSignal | undefined },
): Promise<Result> => {
  const from = Date.now();
  for (let looked = from; ; await sleep(pollMs)) {
    signal?.throwIfAborted();
    try {
      return await ask();
    } catch (error) {
      if (error instanceof CenoteError && error.code !== 'unavailable') throw error;
      // One that answers says what it waits for itself.
      step.at(`waiting for the ${called[name]}${error instanceof CenoteError && error.code === 'unavailable' ? `: ${error.message}` : ''}`);
      const late = Date.now() - from >= readyTimeoutMs;
      if (!late && Date.now() - looked < lookMs) continue;
      looked = Date.now();
      const lines = await manager.lastLines(name, linesRead);
      const reason = fatalReason(lines, from);
      if (reason !== undefined) throw new CenoteError('failed', `the ${called[name]} cannot start: ${reason}`, { cause: error });
      if (!late) continue;
      throw new CenoteError('failed', `the ${called[name]} does not answer after ${readyTimeoutMs / 1000} s: ${messageOf(error)}`, {
        cause: error,
        advice: lines.length === 0 ? undefined : `it last said: ${lines.slice(-5).join(' | ')}`,
      });
    }
  }
};
