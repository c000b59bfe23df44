/** File calls that Node does not have. */
import { ioctlNow } from './ioctl.ts';
import { callAsync, declare, isErrno } from './libc.ts';

const fallocateFunction = declare('int fallocate(int fd, int mode, int64_t offset, int64_t length)');
const syncfsFunction = declare('int syncfs(int fd)');
const renameat2Function = declare('int renameat2(int oldFd, const char* oldPath, int newFd, const char* newPath, unsigned int flags)');

const exchange = 2;
const setInodeFlags = 0x40086602;
const getInodeFlags = 0x80086601;
const noCopyOnWrite = 0x00800000;

/** Real blocks for the whole range, holes included; what is there stays. False where the file system cannot. */
export const preallocate = async (fd: number, bytes: number): Promise<boolean> => {
  try {
    await callAsync('fallocate', fallocateFunction, fd, 0, 0, bytes);
    return true;
  } catch (error) {
    if (isErrno(error, 'EOPNOTSUPP', 'ENOSYS')) return false;
    throw error;
  }
};

/** Everything of this descriptor's file system onto the disk. */
export const syncFileSystem = async (fd: number): Promise<void> => {
  await callAsync('syncfs', syncfsFunction, fd);
};

/** Swaps two names of one file system: at no moment is either absent. */
export const renameExchange = async (oldFd: number, oldName: string, newFd: number, newName: string): Promise<void> => {
  await callAsync(`exchange ${oldName} and ${newName}`, renameat2Function, oldFd, oldName, newFd, newName, exchange);
};

/** On a copy-on-write file system, an empty file's blocks are written in place from now on; elsewhere nothing. */
export const disableCopyOnWrite = (fd: number): void => {
  const flags = Buffer.alloc(8);
  try {
    ioctlNow('get inode flags', fd, getInodeFlags, flags);
    flags.writeUInt32LE((flags.readUInt32LE() | noCopyOnWrite) >>> 0);
    ioctlNow('set inode flags', fd, setInodeFlags, flags);
  } catch (error) {
    if (!isErrno(error, 'EOPNOTSUPP', 'ENOTTY', 'EINVAL')) throw error;
  }
};
