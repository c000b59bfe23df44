/**
 * btrfs subvolumes, by ioctl: a request never starts a program. Numbers and layouts are those of linux/btrfs.h, the same on every
 * 64-bit little-endian machine. Every call takes open directories and single names, never paths.
 */
import koffi from 'koffi';
import { ioctl, ioctlNow } from './ioctl.ts';
import { SystemCallError } from './libc.ts';

const requests = {
  resize: 0x50009403,
  subvolumeCreate: 0x50009418,
  snapshotCreate: 0x50009417,
  subvolumeDestroy: 0x5000943f,
  getFlags: 0x80089419,
  setFlags: 0x4008941a,
  subvolumeInfo: 0x81f8943c,
  fsInfo: 0x8400941f,
  startSync: 0x80089418,
  waitSync: 0x40089416,
} as const;

const flagReadOnly = 2n;
const flagInherit = 4n;
const flagById = 16n;

// struct btrfs_ioctl_vol_args_v2: fd, transid, flags, then size and pointer of a btrfs_qgroup_inherit, and the name
const argsSize = 4096;
const argsFlags = 16;
const argsInheritSize = 24;
const argsInherit = 32;
const argsName = 56;
const inheritSize = 72 + 8;
// struct btrfs_ioctl_vol_args: fd, and text
const resizeAmount = 8;
const longestName = 255;

/** A quota group's id as the kernel has it: level in the top 16 bits. */
export const qgroupId = (level: number, number: bigint): bigint => (BigInt(level) << 48n) | number;

export interface SubvolumeOptions {
  /** The quota group it is in from the start. */
  group?: bigint | undefined;
}

const nameArgs = (name: string, extraBytes = 0): Buffer => {
  const bytes = Buffer.from(name, 'utf8');
  if (bytes.length === 0 || bytes.length > longestName || name.includes('/') || name.includes('\0'))
    throw new SystemCallError(`btrfs name ${JSON.stringify(name)}`, koffi.os.errno['EINVAL']!);
  const args = Buffer.alloc(argsSize + extraBytes);
  bytes.copy(args, argsName);
  return args;
};

/** The inherit structure follows the arguments in the same memory, so that one buffer carries both. */
const createArgs = (name: string, flags: bigint, group: bigint | undefined): Buffer => {
  const args = nameArgs(name, group === undefined ? 0 : inheritSize);
  args.writeBigUInt64LE(flags | (group === undefined ? 0n : flagInherit), argsFlags);
  if (group !== undefined) {
    args.writeBigUInt64LE(BigInt(inheritSize), argsInheritSize);
    args.writeBigUInt64LE(koffi.address(args) + BigInt(argsSize), argsInherit);
    args.writeBigUInt64LE(1n, argsSize + 8); // num_qgroups
    args.writeBigUInt64LE(group, argsSize + 72);
  }
  return args;
};

export const subvolumeCreate = async (parentFd: number, name: string, options: SubvolumeOptions = {}): Promise<void> => {
  await ioctl(`create subvolume ${name}`, parentFd, requests.subvolumeCreate, createArgs(name, 0n, options.group));
};

/** Commits the transaction: what the source held is on disk afterwards, and so is the snapshot, which the commit itself makes. */
export const subvolumeSnapshot = async (sourceFd: number, parentFd: number, name: string, options: SubvolumeOptions & { readOnly: boolean }): Promise<void> => {
  const args = createArgs(name, options.readOnly ? flagReadOnly : 0n, options.group);
  args.writeBigInt64LE(BigInt(sourceFd), 0);
  await ioctl(`snapshot ${name}`, parentFd, requests.snapshotCreate, args);
};

/** The name is gone at once, the space later. ENOTEMPTY when another subvolume is inside. */
export const subvolumeDestroy = async (parentFd: number, name: string): Promise<void> => {
  await ioctl(`delete subvolume ${name}`, parentFd, requests.subvolumeDestroy, nameArgs(name));
};

/** Wherever below the mounted root it is. */
export const subvolumeDestroyById = async (poolFd: number, id: bigint): Promise<void> => {
  const args = Buffer.alloc(argsSize);
  args.writeBigUInt64LE(flagById, argsFlags);
  args.writeBigUInt64LE(id, argsName);
  await ioctl(`delete subvolume ${id}`, poolFd, requests.subvolumeDestroy, args);
};

/** Has the kernel commit in the background, which also wakes its cleaner of deleted subvolumes. The result is what to wait for. */
export const startCommit = (poolFd: number): Promise<Buffer> => ioctl('start commit', poolFd, requests.startSync, Buffer.alloc(8));

/** Names, quotas and subvolumes are on disk afterwards; data that is still being written may not be. */
export const commitMetadata = async (poolFd: number): Promise<void> => {
  await ioctl('wait for commit', poolFd, requests.waitSync, await startCommit(poolFd));
};

export interface SubvolumeInfo {
  id: bigint;
  createdAt: Date;
  /** The transaction it was made in: orders what one tick of the kernel's clock does not. */
  createdIn: bigint;
}

export const subvolumeInfo = (fd: number): SubvolumeInfo => {
  const answer = Buffer.alloc(504);
  ioctlNow('subvolume info', fd, requests.subvolumeInfo, answer);
  return {
    id: answer.readBigUInt64LE(0),
    createdIn: answer.readBigUInt64LE(352),
    createdAt: new Date(Number(answer.readBigUInt64LE(392)) * 1000 + answer.readUInt32LE(400) / 1e6),
  };
};

export const subvolumeIsReadOnly = (fd: number): boolean => {
  const flags = Buffer.alloc(8);
  ioctlNow('subvolume flags', fd, requests.getFlags, flags);
  return (flags.readBigUInt64LE() & flagReadOnly) !== 0n;
};

export const subvolumeSetReadOnly = async (fd: number, readOnly: boolean): Promise<void> => {
  const flags = Buffer.alloc(8);
  flags.writeBigUInt64LE(readOnly ? flagReadOnly : 0n);
  await ioctl('set subvolume flags', fd, requests.setFlags, flags);
};

/** The whole of its device becomes the file system's, which may be in use. */
export const fillDevice = async (fd: number): Promise<void> => {
  const args = Buffer.alloc(argsSize);
  args.write('max', resizeAmount);
  await ioctl('grow the file system', fd, requests.resize, args);
};

/** The file system's UUID, as its directory in /sys/fs/btrfs is named. */
export const fileSystemUuid = (fd: number): string => {
  const answer = Buffer.alloc(1024);
  ioctlNow('file system info', fd, requests.fsInfo, answer);
  const hex = answer.toString('hex', 16, 32);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
};
