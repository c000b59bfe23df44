/**
 * Loop devices: a file as a block device. Attached with autoclear, so that the kernel detaches the device when its last user (an open
 * descriptor or a mount) is gone: a crash between attaching and mounting leaves nothing. Direct I/O keeps the file's pages
 * from being cached a second time.
 */
import { closeSync, existsSync, openSync, readdirSync, statSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { ioctlNow } from './ioctl.ts';
import { checked, closeFd, declare, isErrno, openFd, openFlags } from './libc.ts';

const requests = { getFree: 0x4c82, configure: 0x4c0a, getStatus: 0x4c05, setCapacity: 0x4c07 } as const;
const flagAutoclear = 4;
const flagDirectIo = 16;
const loopMajor = 7;
const blockSize = 4096;
const attempts = 64;

// struct loop_config: fd, block_size, then struct loop_info64 at 8
const configSize = 304;
const infoOffset = 8;
const infoFlags = 52;
const infoName = 56;

const mknodFunction = declare('int mknod(const char* path, unsigned int mode, unsigned long device)');
const blockDeviceMode = 0o060600;

export interface LoopDevice {
  /** `/dev/loop7` */
  path: string;
  /** Keeps it attached until it is mounted; the caller closes it. */
  fd: number;
}

const devicePath = (number: number): string => {
  const path = `/dev/loop${number}`;
  // Where nothing fills /dev (a container's), the node is made here.
  if (!existsSync(path))
    checked(`mknod ${path}`, mknodFunction(path, blockDeviceMode, (loopMajor << 8) | (number & 0xff) | ((number & ~0xff) << 12)) as number);
  return path;
};

/** Attaches an open file to a free device. Two processes may be given the same free number: the loser takes the next. */
export const loopAttach = (fileFd: number, name: string): LoopDevice => {
  const control = openFd('/dev/loop-control', openFlags.readWrite);
  try {
    for (let attempt = 0; ; attempt += 1) {
      const path = devicePath(ioctlNow('find a free loop device', control, requests.getFree, 0));
      const fd = openFd(path, openFlags.readWrite);
      const config = Buffer.alloc(configSize);
      config.writeUInt32LE(fileFd, 0);
      config.writeUInt32LE(blockSize, 4);
      config.writeUInt32LE(flagAutoclear | flagDirectIo, infoOffset + infoFlags);
      config.write(name.slice(-63), infoOffset + infoName, 'utf8');
      try {
        ioctlNow(`attach ${path}`, fd, requests.configure, config);
        return { path, fd };
      } catch (error) {
        closeFd(fd);
        if (!isErrno(error, 'EBUSY') || attempt >= attempts) throw error;
      }
    }
  } finally {
    closeFd(control);
  }
};

/** The device a file is attached to, by device and inode: names may have changed since. Null when there is none. */
export const loopFind = (file: string): LoopDevice | null => {
  const wanted = statSync(file, { bigint: true });
  for (const entry of readdirSync('/sys/block')) {
    if (!/^loop\d+$/.test(entry) || !existsSync(`/sys/block/${entry}/loop/backing_file`)) continue;
    const device = openIfOf(devicePath(Number(entry.slice(4))), wanted);
    if (device !== null) return device;
  }
  return null;
};

/** Null: another file's, or detached since it was listed. While it is being detached it cannot even be opened. */
const openIfOf = (path: string, file: BigIntStats): LoopDevice | null => {
  using undo = new DisposableStack();
  try {
    const fd = undo.adopt(openSync(path, 'r'), closeSync);
    const info = Buffer.alloc(configSize - infoOffset);
    ioctlNow(`status of ${path}`, fd, requests.getStatus, info);
    if (info.readBigUInt64LE(0) !== file.dev || info.readBigUInt64LE(8) !== file.ino) return null;
    undo.move();
    return { path, fd };
  } catch (error) {
    if (isErrno(error, 'ENXIO', 'ENOENT')) return null;
    throw error;
  }
};

/** Has the device take in what its file has become; who uses it goes on. */
export const loopTakeSize = (device: LoopDevice): void => {
  ioctlNow(`size of ${device.path}`, device.fd, requests.setCapacity, 0);
};
