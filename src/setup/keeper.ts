/**
 * Keeps one program running: starts it, sees it end, starts it again: at once when it had stayed up, else each time a little later. A program
 * that still runs from an earlier keeper is adopted, not started twice.
 */
import { closeSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../base/logger.ts';
import { messageOf } from '../base/errors.ts';
import { start } from '../exec/run.ts';
import { openLog } from './log-file.ts';
import { endProcess, forgetProcess, identify, isAlive, recallProcess, rememberProcess } from '../sys/process-identity.ts';
import type { ProcessIdentity } from '../sys/process-identity.ts';

export interface KeeperOptions {
  name: string;
  argv: [string, ...string[]];
  env: Record<string, string>;
  umask: number;
  pidPath: string;
  logPath: string;
  /** Lower is killed later when the host is out of memory. Ignored where the keeper may not. */
  oomScoreAdjust: number;
  /** Runs before each start. */
  before?: (() => void) | undefined;
  /** Told of the process when it has been started or adopted. */
  admit?: (pid: number) => void;
  /** Left running when the keeper stops. */
  leave: boolean;
  log: Logger;
  firstDelayMs?: number | undefined;
}

const longestDelayMs = 15_000;
const settledMs = 30_000;
const adoptedPollMs = 300;
const stopGraceMs = 10_000;

/** Until `signal` says stop; then the program has ended, unless it is to be left. */
export const keepRunning = async (options: KeeperOptions, signal: AbortSignal): Promise<void> => {
  const firstDelayMs = options.firstDelayMs ?? 200;
  let delayMs = 0;
  while (!signal.aborted) {
    const startedAt = Date.now();
    await keepOne(options, signal);
    if (signal.aborted) break;
    delayMs = Date.now() - startedAt > settledMs ? 0 : Math.min(Math.max(firstDelayMs, delayMs * 2), longestDelayMs);
    await sleep(delayMs, undefined, { signal }).catch(() => {});
  }
  const running = recallProcess(options.pidPath);
  if (options.leave || running === null) return;
  await endProcess(running, stopGraceMs);
  forgetProcess(options.pidPath);
};

/** From start (or adoption) to end, or to the signal. */
const keepOne = async (options: KeeperOptions, signal: AbortSignal): Promise<void> => {
  const adopted = recallProcess(options.pidPath);
  if (adopted !== null) {
    options.log.info({ service: options.name, pid: adopted.pid }, 'adopted');
    options.admit?.(adopted.pid);
    while (isAlive(adopted) && !signal.aborted) await sleep(adoptedPollMs, undefined, { signal }).catch(() => {});
    if (!signal.aborted) options.log.warn({ service: options.name, pid: adopted.pid }, 'ended');
    return;
  }
  try {
    options.before?.();
    await runOne(options, signal);
  } catch (error) {
    options.log.error({ service: options.name, error: messageOf(error) }, 'not started');
  }
};

const runOne = (options: KeeperOptions, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const output = openLog(options.logPath);
    const [program, ...args] = options.argv;
    // A session of its own: what ends the keeper's terminal or group does not end it.
    const ownUmask = process.umask(options.umask); // inherited; put back before anything else can run
    const child = start(program, args, { stdio: ['ignore', output, output], env: options.env, cwd: '/', detached: true });
    process.umask(ownUmask);
    closeSync(output);
    child.on('error', reject);
    const identity: ProcessIdentity | null = child.pid === undefined ? null : identify(child.pid);
    if (identity !== null) {
      try {
        rememberProcess(options.pidPath, identity);
      } catch (error) {
        // Who comes next would not know of it, and start another beside it.
        child.once('exit', () => reject(error));
        child.kill('SIGKILL');
        return;
      }
      options.log.info({ service: options.name, pid: identity.pid }, 'started');
      adjustOomScore(identity.pid, options.oomScoreAdjust);
      options.admit?.(identity.pid);
    }
    const stop = () => {
      child.unref();
      resolve();
    };
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    child.on('exit', (code, killedBy) => {
      signal.removeEventListener('abort', stop);
      if (!signal.aborted) options.log.warn({ service: options.name, pid: child.pid, code, signal: killedBy }, 'ended');
      resolve();
    });
  });

const adjustOomScore = (pid: number, score: number): void => {
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, String(score));
  } catch {
    // below the inherited value needs CAP_SYS_RESOURCE, which some hosts do not give
  }
};
