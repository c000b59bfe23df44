/**
 * Terminals: receiving the controlling end of one from a runtime (a descriptor passed over a unix socket, which Node cannot
 * receive) and setting its window size.
 */
import koffi from 'koffi';
import { callAsync, checked, closeFd, declare } from './libc.ts';

const afUnix = 1;
const sockStreamCloexec = 1 | 0o2000000;
const solSocket = 1;
const soRcvTimeo = 20;
const msgCmsgCloexec = 0x40000000;
const tiocswinsz = 0x5414;

const socketFunction = declare('int socket(int domain, int type, int protocol)');
const bindFunction = declare('int bind(int fd, const void* address, unsigned int length)');
const listenFunction = declare('int listen(int fd, int backlog)');
const acceptFunction = declare('int accept4(int fd, void* address, void* length, int flags)');
const setsockoptFunction = declare('int setsockopt(int fd, int level, int name, const void* value, unsigned int length)');
const recvmsgFunction = declare('long recvmsg(int fd, void* message, int flags)');
const ioctlFunction = declare('int ioctl(int fd, unsigned long request, void* value)');

export interface ConsoleListener extends Disposable {
  /** The descriptor the runtime sends; rejects when none comes in time. */
  receive(): Promise<number>;
}

/** Listens at `path` for one runtime to connect and pass one descriptor. */
export const listenForConsole = (path: string, timeoutSeconds: number): ConsoleListener => {
  const address = Buffer.alloc(110);
  address.writeUInt16LE(afUnix, 0);
  if (Buffer.byteLength(path) > 107) throw new RangeError(`socket path too long: ${path}`);
  address.write(path, 2);
  const listener = checked('socket', socketFunction(afUnix, sockStreamCloexec, 0) as number);
  const timeout = new BigInt64Array([BigInt(timeoutSeconds), 0n]);
  const close = () => closeFd(listener);
  try {
    checked(`bind ${path}`, bindFunction(listener, address, 2 + Buffer.byteLength(path) + 1) as number);
    checked('listen', listenFunction(listener, 1) as number);
    checked('setsockopt', setsockoptFunction(listener, solSocket, soRcvTimeo, timeout, 16) as number);
  } catch (error) {
    close();
    throw error;
  }
  return {
    async receive() {
      const connection = await callAsync('accept', acceptFunction, listener, null, null, 0o2000000);
      try {
        checked('setsockopt', setsockoptFunction(connection, solSocket, soRcvTimeo, timeout, 16) as number);
        return await receiveDescriptor(connection);
      } finally {
        closeFd(connection);
      }
    },
    [Symbol.dispose]: close,
  };
};

/** recvmsg(2) with room for one descriptor: struct msghdr and struct cmsghdr as on 64-bit Linux. */
const receiveDescriptor = async (connection: number): Promise<number> => {
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
  await callAsync('recvmsg', recvmsgFunction, connection, message, msgCmsgCloexec);
  const [length, level, type] = [control.readBigUInt64LE(0), control.readInt32LE(8), control.readInt32LE(12)];
  if (length !== 20n || level !== solSocket || type !== 1) throw new Error('the runtime passed no terminal');
  return control.readInt32LE(16);
};

export const setWindowSize = (fd: number, columns: number, rows: number): void => {
  checked('ioctl TIOCSWINSZ', ioctlFunction(fd, tiocswinsz, new Uint16Array([rows, columns, 0, 0])) as number);
};
