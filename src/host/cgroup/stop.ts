/**
 * Stopping the processes of a group, for good or for a while, by the v2 hierarchy. It has these two without any controller, so hybrid
 * hosts use them too: one write for all processes at once, where v1's freezer leaves one that has just forked out of it, and has no kill.
 */
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { CenoteError } from '../../base/errors.ts';
import { ifPresent, readTable, write } from './files.ts';

const freezeDeadlineMs = 5000;
/** Most groups stand still within a fraction of a millisecond, less than the shortest sleep: so often is asked without one. */
const quickLooks = 20;

export const freezeGroup = async (group: string): Promise<void> => {
  write(group, 'cgroup.freeze', 1);
  const start = performance.now();
  for (let look = 1; readTable(group, 'cgroup.events')['frozen'] !== 1; look += 1) {
    if (performance.now() - start > freezeDeadlineMs) {
      thawGroup(group);
      throw new CenoteError('timeout', `the machine could not be frozen within ${freezeDeadlineMs / 1000} s`);
    }
    await (look <= quickLooks ? turn() : sleep(1));
  }
};

export const thawGroup = (group: string): void => {
  ifPresent(() => write(group, 'cgroup.freeze', 0));
};

export const killGroup = (group: string): void => {
  ifPresent(() => write(group, 'cgroup.kill', 1));
};
