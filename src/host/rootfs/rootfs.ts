/**
 * A machine's root: shared read-only trees below, the machine's own volume on top, /usr bound from the platform.
 *
 * Every layer is an idmapped detached mount, so ids on disk are 0-65535 whatever range the machine has (linux.md). The layers are
 * given to overlay as /proc/self/fd/N: nothing of them enters the host's mount table where the kernel allows. What is mounted at `target` is needed only
 * until the runtime has made the machine's own mount namespace; `unmountRoot` then leaves the host's table as short as before.
 *
 * Trees and volumes are on one file system but number their files each from the same beginning, and overlay takes such numbers for
 * unique: inside, two files would be "the same" to cp, diff and tar. So every tree is first an overlay by itself, which is
 * another file system, with a device number of its own. (xino would give all one device number, and the host's log a line for each start.)
 */
import { accessSync, constants, mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { isKernelSince } from '../../sys/kernel.ts';
import { closeLater, isErrno } from '../../sys/libc.ts';
import { attachMount, cloneMount, detachedMount, unmountAsync, unmountFlags } from '../../sys/mount.ts';

export interface RootRequest {
  target: string;
  /** Read-only trees, topmost first. */
  lowers: string[];
  /** Directory with `upper` and `work`. */
  volume: string;
  usr: string | null;
  /** User namespace whose mapping the layers take; see Sandbox.idmapFd. Null: ids as on disk, read-only. */
  idmapFd: number | null;
}

/** How roots are put together: for real, or in tests without a kernel. */
export interface Roots {
  /** False: it is there, but can only be read, since overlay could not write what it needs into the volume. */
  mount(request: RootRequest): Promise<boolean>;
  /** Idempotent. */
  unmount(target: string): Promise<void>;
}

/** From which kernel on overlay takes detached layers: the oldest they were seen to work on. Debian 12's 6.1 refuses them (EINVAL). */
const detachedLayersSince = [6, 18] as const;

const mountRoot = async (request: RootRequest): Promise<boolean> => {
  const { idmapFd, target } = request;
  await using undo = new AsyncDisposableStack();
  mkdirSync(target, { recursive: true, mode: 0o711 });
  undo.defer(() => unmountRoot(target));
  using descriptors = new DisposableStack();
  const attach = !isKernelSince(...detachedLayersSince);
  const layer = (fd: number): string => {
    descriptors.defer(() => closeLater(fd));
    // An older overlay wants its layers attached somewhere. They lie on `target`, one on the other, only until it has its own copies;
    // the descriptors tell them apart, and whatever a crash leaves there, `unmountRoot` takes.
    if (attach) attachMount(fd, target);
    return `/proc/self/fd/${fd}`;
  };
  const idmapped = (path: string, readOnly: boolean): string => layer(cloneMount(path, { idmapFd: idmapFd ?? undefined, readOnly }));
  const volume = idmapped(request.volume, idmapFd === null);
  // Overlay wants two lowers where there is no upper; the volume has an empty one, made with it, since a full one takes no directory.
  const own = (path: string): string => layer(detachedMount('overlay', { source: 'cenote', lowerdir: `${idmapped(path, true)}:${volume}/empty` }));
  const lowers = request.lowers.map(own).join(':');
  const layers = idmapFd === null ? { lowerdir: `${volume}/upper:${lowers}` } : { lowerdir: lowers, upperdir: `${volume}/upper`, workdir: `${volume}/work` };
  // index and metacopy would tie the upper layer to this very lower one; a platform update puts another beneath it.
  const root = detachedMount('overlay', { source: 'cenote', ...layers, index: 'off', metacopy: 'off', redirect_dir: 'off', xino: 'off' }, false);
  descriptors.defer(() => closeLater(root));
  if (attach) await detachAll(target);
  attachMount(root, target);
  if (request.usr !== null) {
    const usr = cloneMount(request.usr, { idmapFd: idmapFd ?? undefined, readOnly: true });
    descriptors.defer(() => closeLater(usr));
    attachMount(usr, join(target, 'usr'));
  }
  const isWritable = request.idmapFd === null || !isReadOnly(target);
  undo.move();
  return isWritable;
};

/** Asked of the file system, before any question of rights. */
const isReadOnly = (path: string): boolean => {
  try {
    accessSync(path, constants.W_OK);
    return false;
  } catch (error) {
    return isErrno(error, 'EROFS');
  }
};

/** The machine's own mount namespace keeps what it has. */
const unmountRoot = async (target: string): Promise<void> => {
  for (;;) {
    try {
      return rmdirSync(target);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return;
      if (!isErrno(error, 'EBUSY')) throw error;
    }
    await detach(target);
  }
};

const detachAll = async (target: string): Promise<void> => {
  try {
    for (;;) await detach(target);
  } catch (error) {
    if (!isErrno(error, 'EINVAL')) throw error;
  }
};

/** The topmost mount, lazily and with what is mounted in it: the machine may be running on it. On the thread pool, since the kernel waits for a grace period. */
const detach = (target: string): Promise<void> => unmountAsync(target, unmountFlags.detach | unmountFlags.noFollow);

export const overlayRoots: Roots = { mount: mountRoot, unmount: unmountRoot };
