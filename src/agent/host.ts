/** The host as the agent sees it: one narrow interface for each thing, real or fake. */
import type { CrashPoints } from '../base/crash-point.ts';
import type { Logger } from '../base/logger.ts';
import type { Semaphore } from '../base/semaphore.ts';
import type { Archiver } from '../host/archive/archive.ts';
import type { Cgroups } from '../host/cgroup/cgroup.ts';
import type { Network } from '../host/network/network.ts';
import type { Platforms } from '../host/platform/platform.ts';
import type { Roots } from '../host/rootfs/rootfs.ts';
import type { Runtime } from '../host/runtime/runtime.ts';
import type { Sandboxes } from '../host/sandbox/sandbox.ts';
import type { Storage } from '../host/storage/storage.ts';
import type { PublishedPort } from '../model/machine.ts';
import type { Events } from './events.ts';
import type { Journal } from './journal.ts';
import type { MachineNames } from './names.ts';

export interface PortRegister {
  claim(machine: string, ports: readonly PublishedPort[]): Promise<void>;
  release(machine: string): Promise<void>;
  /** After a start of the agent: these run, and hold theirs. */
  restore(machines: readonly { machine: string; ports: readonly PublishedPort[] }[]): Promise<void>;
}

export interface Host {
  archiver: Archiver;
  cgroups: Cgroups;
  network: Network;
  platforms: Platforms;
  roots: Roots;
  runtime: Runtime;
  sandboxes: Sandboxes;
  storage: Storage;
  ports: PortRegister;
  journal: Journal;
  names: Pick<MachineNames, 'changed' | 'gone' | 'status' | 'setAccounts' | 'searchOf'>;
  events: Events;
  logger: Logger;
  /** Reached between any two steps whose order matters after a crash; does nothing but in tests. */
  crash: CrashPoints;
  /** Starts at once: past a few a core, more at the same time take longer in all (linux.md 4.10). */
  startPlaces: Semaphore;
  /** Emptied by a reboot: mount points and the files bound into machines. */
  runDirectory: string;
  /** Where lxcfs is mounted; null while it is not. */
  lxcfs: () => string | null;
}
