/** Frames put on a link of this namespace as they are, past whatever rules there are for packets. */
import { checked, closeLater, declare } from './libc.ts';

const socketFunction = declare('int socket(int family, int type, int protocol)');
const sendtoFunction = declare('long sendto(int fd, const void* data, size_t length, int flags, const void* address, unsigned int addressLength)');

const afPacket = 17;
/** The kernel writes the link's own address before each. */
const sockDgramCloexec = 2 | 0o2000000;
const msgDontWait = 0x40;
const everybody = Buffer.alloc(6, 0xff);

/** To everybody at the link; `protocol` is what a frame says that it carries. */
export const broadcastFrames = (index: number, protocol: number, payloads: readonly Uint8Array[]): void => {
  const address = Buffer.alloc(20);
  address.writeUInt16LE(afPacket, 0);
  address.writeUInt16BE(protocol, 2);
  address.writeInt32LE(index, 4);
  address[11] = everybody.length;
  address.set(everybody, 12);
  // Of no protocol: nothing is received.
  const fd = checked('socket', socketFunction(afPacket, sockDgramCloexec, 0) as number);
  try {
    for (const payload of payloads) checked('send a frame', sendtoFunction(fd, payload, payload.length, msgDontWait, address, address.length) as number);
  } finally {
    closeLater(fd); // the kernel waits a grace period
  }
};
