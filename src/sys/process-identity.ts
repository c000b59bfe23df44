/**
 * A process, told apart from a later one with the same number by when it started. Kept in a file, so that who comes after
 * a crash can find, adopt or end what still runs.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ProcessIdentity {
  pid: number;
  /** Clock ticks after boot. */
  startTicks: number;
}

const pollMs = 50;

/** Null when there is none, or only its exit code is left. */
export const identify = (pid: number): ProcessIdentity | null => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold anything; fields are counted from its end: state is the third, start time the 22nd.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : { pid, startTicks: Number(fields[19]) };
  } catch {
    return null;
  }
};

export const isAlive = (identity: ProcessIdentity): boolean => identify(identity.pid)?.startTicks === identity.startTicks;

export const rememberProcess = (path: string, identity: ProcessIdentity): void => {
  writeFileSync(`${path}.new`, JSON.stringify(identity), { mode: 0o644 });
  renameSync(`${path}.new`, path);
};

/** The remembered process, if it is alive. */
export const recallProcess = (path: string): ProcessIdentity | null => {
  try {
    const { pid, startTicks } = JSON.parse(readFileSync(path, 'utf8')) as Partial<ProcessIdentity>;
    if (typeof pid !== 'number' || typeof startTicks !== 'number' || pid < 2) return null;
    return isAlive({ pid, startTicks }) ? { pid, startTicks } : null;
  } catch {
    return null;
  }
};

export const forgetProcess = (path: string): void => rmSync(path, { force: true });

export const signalProcess = (identity: ProcessIdentity, signal: NodeJS.Signals): void => {
  if (!isAlive(identity)) return;
  try {
    process.kill(identity.pid, signal);
  } catch {
    // it ended in between
  }
};

/** SIGTERM, and SIGKILL when it has not ended in time. */
export const endProcess = async (identity: ProcessIdentity, graceMs: number): Promise<void> => {
  signalProcess(identity, 'SIGTERM');
  if (await endedWithin(identity, graceMs)) return;
  signalProcess(identity, 'SIGKILL');
  await endedWithin(identity, 5000);
};

const endedWithin = async (identity: ProcessIdentity, ms: number): Promise<boolean> => {
  for (const deadline = Date.now() + ms; isAlive(identity); await sleep(pollMs)) if (Date.now() > deadline) return false;
  return true;
};
