/**
 * The directory for what a reboot ends: bundles, the runtime's state, files bound into machines, mount points. It is on a file system
 * in memory, as /run is on most hosts; where it is not (some virtual hosts have all on one disk) the agent mounts one. Every start of a
 * machine makes a dozen small files there and every end removes them, which a disk would journal each time.
 */
import { chmodSync, mkdirSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { CenoteError } from '../../base/errors.ts';
import { lockFile } from '../../sys/flock.ts';
import { mountFlags, mountFs } from '../../sys/mount.ts';

const tmpfsMagic = 0x0102_1994;
const parts = ['roots', 'files', 'copies'];
/** In the run directory: for what machines are to see empty. */
export const emptyDirectory = 'empty';
/** One that has been killed may take a moment to be gone. */
const formerAgentMs = 5_000;

/** For one agent at a time, until what is returned is disposed of: two would both take the host for theirs, and write one journal. */
export const openRunDirectory = async (path: string): Promise<Disposable> => {
  mkdirSync(path, { recursive: true });
  if (statfsSync(path).type !== tmpfsMagic) {
    // What is found here on a disk is of another boot.
    rmSync(path, { recursive: true });
    mkdirSync(path);
    mountFs('cenote', path, 'tmpfs', mountFlags.noSuid | mountFlags.noDev | mountFlags.noExec, null);
  }
  const lock = await lockAlone(join(path, 'lock'));
  for (const directory of [path, ...parts.map((name) => join(path, name))]) {
    mkdirSync(directory, { recursive: true });
    // Passable for all, whatever the umask: the runtime walks here as a machine's own root user, who is nobody on the host.
    chmodSync(directory, 0o711);
  }
  mkdirSync(join(path, emptyDirectory), { recursive: true });
  chmodSync(join(path, emptyDirectory), 0o555);
  return lock;
};

const lockAlone = async (path: string): Promise<Disposable> => {
  try {
    return await lockFile(path, { timeoutMs: formerAgentMs });
  } catch (cause) {
    throw new CenoteError('wrong_state', 'another agent of this instance runs', { cause });
  }
};
