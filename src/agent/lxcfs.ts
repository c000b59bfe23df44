/**
 * lxcfs serves the files of /proc that tell a machine its own memory and CPUs. When it dies and is started again, the binds in running
 * machines still lead to the dead one and answer ENOTCONN. So the agent looks which lxcfs is mounted, and where a machine has another
 * one, or none, it puts the present one in its place. What a machine has is read from its own mount table: nothing is remembered.
 */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isErrno } from '../base/errno.ts';
import { messageChain } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { Semaphore } from '../base/semaphore.ts';
import { lxcfsBinds } from '../host/runtime/specification.ts';
import { NamespaceMaker } from '../host/sandbox/namespace-maker.ts';
import type { Machine } from './machine/machine.ts';
import type { Machines } from './machines.ts';

export interface Lxcfs {
  mountPoint: string;
  pidFile: string;
}

const lookEveryMs = 1000;
const repairsAtOnce = 4;

/** Whether it is there and alive: a dead one's mount stays, and whatever is started on it fails. It is never asked itself, since it may hang. */
export const serves = ({ mountPoint, pidFile }: Lxcfs): boolean => {
  try {
    const pid = Number(readFileSync(pidFile, 'utf8'));
    return readFileSync(`/proc/${pid}/comm`, 'utf8') === 'lxcfs\n' && deviceAt(readFileSync('/proc/self/mountinfo', 'utf8'), mountPoint) !== null;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return false;
    throw error;
  }
};

/** The device of the lxcfs mounted there: another one after every start of it. */
export const deviceAt = (mountinfo: string, path: string): string | null => {
  // Where mounts are stacked the last one is seen.
  const line = mountinfo.split('\n').findLast((candidate) => candidate.split(' ')[4] === path);
  return line?.includes(' - fuse.lxcfs ') ? line.split(' ')[2]! : null;
};

export const keepLxcfs = (lxcfs: Lxcfs, machines: Machines, logger: Logger): Disposable => {
  let repaired: string | null = null;
  let looking = false;
  const look = async () => {
    if (looking || !serves(lxcfs)) return;
    looking = true;
    try {
      const device = deviceAt(await readFile('/proc/self/mountinfo', 'utf8'), lxcfs.mountPoint);
      if (device === null || device === repaired) return;
      const failed = await repairAll(lxcfs.mountPoint, device, machines, logger);
      // Those that failed are tried again at the next look.
      if (!failed) repaired = device;
    } catch (error) {
      logger.warn({ error: messageChain(error) }, 'lxcfs could not be looked after');
    } finally {
      looking = false;
    }
  };
  void look();
  const timer = setInterval(() => void look(), lookEveryMs).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
};

const repairAll = async (mountPoint: string, device: string, machines: Machines, logger: Logger): Promise<boolean> => {
  // A helper of its own, so that nobody who wants a sandbox waits behind a thousand repairs.
  const maker = new NamespaceMaker(logger);
  const places = new Semaphore(repairsAtOnce);
  let count = 0;
  let failed = false;
  const repair = async (machine: Machine) => {
    const pid = machine.run?.process.pid;
    if (pid === undefined || machine.ending) return;
    using _place = await places.acquire();
    if (deviceAt(await readFile(`/proc/${pid}/mountinfo`, 'utf8'), '/proc/meminfo') === device) return;
    await maker.rebind(pid, lxcfsBinds(mountPoint));
    count += 1;
  };
  try {
    await Promise.all(
      [...machines.all()].map((machine) =>
        // Outside the machine's queue: a long copy must not keep its /proc broken.
        repair(machine).catch((error: unknown) => {
          if (isErrno(error, 'ENOENT', 'ESRCH') || machine.ending) return; // it ended meanwhile
          failed = true;
          logger.warn({ machine: machine.id, error: messageChain(error) }, 'its /proc could not be repaired');
        }),
      ),
    );
  } finally {
    maker.close();
  }
  if (count > 0) logger.info({ machines: count }, 'lxcfs was started anew: its files in running machines were replaced');
  return failed;
};
