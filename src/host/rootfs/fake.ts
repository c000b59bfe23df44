/** Roots that are empty directories: nothing is mounted. */
import { mkdirSync, rmSync } from 'node:fs';
import type { Roots } from './rootfs.ts';

export const plainRoots: Roots = {
  mount: async ({ target }) => {
    mkdirSync(target, { recursive: true });
    return true;
  },
  unmount: async (target) => rmSync(target, { recursive: true, force: true }),
};
