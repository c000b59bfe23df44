/**
 * Terminals: receiving the controlling end of one from a runtime (a descriptor passed over a unix socket, which Node cannot
 * receive) and setting its window size.
 */
import koffi from 'koffi';
import { checked, closeFd, declare, isErrno } from './libc.ts';

const afUnix = 1;
const [nonBlocking, closeOnExec] = [0o4000, 0o2000000];
const sockStream = 1 | nonBlocking | closeOnExec;
const solSocket = 1;
const msgCmsgCloexec = 0x40000000;
const tiocswinsz = 0x5414;

const socketFunction = declare('int socket(int domain, int type, int protocol)');
const bindFunction = declare('int bind(int fd, const void* address, unsigned int length)');
const listenFunction = declare('int listen(int fd, int backlog)');
const acceptFunction = declare('int accept4(int fd, void* address, void* length, int flags)');
const recvmsgFunction = declare('long recvmsg(int fd, void* message, int flags)');
const ioctlFunction = declare('int ioctl(int fd, unsigned long request, void* value)');

/**
 * Asked now and then, and never waited in: a runtime that passes nothing would hold a thread of the pool, of which there are few, and a call
 * that still waits when the descriptor is closed could come to another's of the same number.
 */
export interface ConsoleListener extends Disposable {
  /** The descriptor that the runtime has sent; undefined as long as there is none. */
  receive(): number | undefined;
}

/** Listens at `path` for one runtime to connect and pass one descriptor. What comes after it is disposed of nobody has: the kernel closes it. */
export const listenForConsole = (path: string): ConsoleListener => {
  const address = Buffer.alloc(110);
  address.writeUInt16LE(afUnix, 0);
  if (Buffer.byteLength(path) > 107) throw new RangeError(`socket path too long: ${path}`);
  address.write(path, 2);
  const listener = checked('socket', socketFunction(afUnix, sockStream, 0) as number);
  let connection: number | undefined;
  const close = () => {
    closeFd(listener);
    if (connection !== undefined) closeFd(connection);
  };
  try {
    checked(`bind ${path}`, bindFunction(listener, address, 2 + Buffer.byteLength(path) + 1) as number);
    checked('listen', listenFunction(listener, 1) as number);
  } catch (error) {
    close();
    throw error;
  }
  return {
    receive() {
      connection ??= unlessLater(() => checked('accept', acceptFunction(listener, null, null, nonBlocking | closeOnExec) as number));
      const from = connection;
      return from === undefined ? undefined : unlessLater(() => receiveDescriptor(from));
    },
    [Symbol.dispose]: close,
  };
};

const unlessLater = <T>(call: () => T): T | undefined => {
  try {
    return call();
  } catch (error) {
    if (isErrno(error, 'EAGAIN', 'EINTR')) return undefined;
    throw error;
  }
};

/** recvmsg(2) with room for one descriptor: struct msghdr and struct cmsghdr as on 64-bit Linux. */
const receiveDescriptor = (connection: number): number => {
  const data = Buffer.alloc(4096);
  const control = Buffer.alloc(24);
  const vector = Buffer.alloc(16);
  vector.writeBigUInt64LE(koffi.address(data), 0);
  vector.writeBigUInt64LE(BigInt(data.length), 8);
  const message = Buffer.alloc(56);
  message.writeBigUInt64LE(koffi.address(vector), 16);
  message.writeBigUInt64LE(1n, 24);
  message.writeBigUInt64LE(koffi.address(control), 32);
  message.writeBigUInt64LE(BigInt(control.length), 40);
  checked('recvmsg', recvmsgFunction(connection, message, msgCmsgCloexec) as number);
  const [length, level, type] = [control.readBigUInt64LE(0), control.readInt32LE(8), control.readInt32LE(12)];
  if (length !== 20n || level !== solSocket || type !== 1) throw new Error('the runtime passed no terminal');
  return control.readInt32LE(16);
};

export const setWindowSize = (fd: number, columns: number, rows: number): void => {
  checked('ioctl TIOCSWINSZ', ioctlFunction(fd, tiocswinsz, new Uint16Array([rows, columns, 0, 0])) as number);
};
