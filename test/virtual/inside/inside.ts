/** Where tests inside a virtual host run, and the seed of what is random in them. Without packages that only tests have: those are not there. */
import { existsSync } from 'node:fs';
import { defaultRoot, instancePaths } from '../../../src/model/instance.ts';

/** False in a virtual host on which `cenote up` was done. */
export const skipInside =
  !existsSync('/sys/fs/cgroup/cgroup.controllers') || !existsSync(instancePaths(defaultRoot).config) ? 'wants a host of its own, with cgroup v2 only' : false;

export const seed = Number(process.env['CENOTE_TEST_SEED'] ?? 1);
