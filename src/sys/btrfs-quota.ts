/**
 * btrfs quota groups. Simple quotas (Linux 6.7) bill an extent to the subvolume that wrote it and cost nothing at a commit; the
 * older full quotas count who references what, and pay for it. Limits are set here; usage is read from /sys by who needs it.
 */
import { ioctl } from './ioctl.ts';
import { isErrno } from './libc.ts';

const requests = {
  quotaControl: 0xc0109428,
  rescan: 0x4040942c,
  groupCreate: 0x4010942a,
  groupLimit: 0x8030942b,
} as const;

const enableFull = 1n;
const enableSimple = 4n;
const limitReferenced = 1n;

/** Simple quotas where the kernel has them. Only for a pool without data yet: what exists would never be billed. */
export const quotaEnable = async (poolFd: number): Promise<void> => {
  try {
    await quotaControl(poolFd, enableSimple);
  } catch (error) {
    if (!isErrno(error, 'EINVAL', 'EOPNOTSUPP', 'ENOTTY')) throw error;
    await quotaEnableFull(poolFd);
  }
};

/** As an older kernel has them. */
export const quotaEnableFull = (poolFd: number): Promise<void> => quotaControl(poolFd, enableFull);

const quotaControl = async (poolFd: number, command: bigint): Promise<void> => {
  const args = Buffer.alloc(16);
  args.writeBigUInt64LE(command);
  await ioctl('enable quotas', poolFd, requests.quotaControl, args);
};

/** Counts everything anew, in the background (full quotas only). One that runs already serves. */
export const quotaRescan = async (poolFd: number): Promise<void> => {
  await ioctl('rescan quotas', poolFd, requests.rescan, Buffer.alloc(64)).catch((error: unknown) => {
    if (!isErrno(error, 'EINPROGRESS')) throw error;
  });
};

const createOrRemove = async (poolFd: number, group: bigint, create: boolean): Promise<void> => {
  const args = Buffer.alloc(16);
  args.writeBigUInt64LE(create ? 1n : 0n, 0);
  args.writeBigUInt64LE(group, 8);
  await ioctl(`${create ? 'create' : 'remove'} quota group ${group >> 48n}/${group & 0xffffffffffffn}`, poolFd, requests.groupCreate, args);
};

export const qgroupCreate = (poolFd: number, group: bigint): Promise<void> => createOrRemove(poolFd, group, true);

/** EBUSY while it has members or bytes are billed to it; ENOENT when it is gone. */
export const qgroupRemove = (poolFd: number, group: bigint): Promise<void> => createOrRemove(poolFd, group, false);

/** Enforced from the next write on; a limit below what is used is accepted by the kernel, so ask first. */
export const qgroupLimit = async (poolFd: number, group: bigint, bytes: bigint): Promise<void> => {
  const args = Buffer.alloc(48);
  args.writeBigUInt64LE(group, 0);
  args.writeBigUInt64LE(limitReferenced, 8);
  args.writeBigUInt64LE(bytes, 16);
  await ioctl(`limit quota group ${group >> 48n}/${group & 0xffffffffffffn}`, poolFd, requests.groupLimit, args);
};
