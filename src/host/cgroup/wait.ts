/** Waiting for a group's last process to be gone: dying processes leave their group a moment after the kill. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CenoteError } from '../../base/errors.ts';

const deadlineMs = 15_000;

export const waitUntilEmpty = async (machine: string, remove: () => boolean, kill: () => Promise<void>): Promise<void> => {
  const start = performance.now();
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 50)) {
    if (remove()) return;
    if (performance.now() - start > deadlineMs) throw new CenoteError('timeout', `processes of machine ${machine} did not end within ${deadlineMs / 1000} s`);
    await kill();
    await sleep(pauseMs);
  }
};
