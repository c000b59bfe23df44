/** What systemd, where it is in charge, says of the host. */
import { existsSync } from 'node:fs';
import { runAny } from '../../exec/run.ts';

/** There while systemd is the first process, and only then. */
export const systemdRuns = (): boolean => existsSync('/run/systemd/system');

/** Whether the host is shutting down. Without systemd nobody says so. */
export const hostGoesDown = async (): Promise<boolean> =>
  systemdRuns() && (await runAny('systemctl', ['is-system-running'], { timeoutMs: 5000 })).stdout.trim() === 'stopping';
