/** What can be said of shaping before anything is shaped; nothing of the host is changed by asking. */
import { closeFd } from '../../sys/libc.ts';
import { NetlinkSocket, netlinkProtocols } from '../../sys/netlink.ts';
import { createNetworkNamespace, inNetworkNamespace } from '../../sys/netns.ts';
import { handleOf, instanceNumberOf, makeRoot } from './htb.ts';
import { loopbackIndex } from './route-messages.ts';
import { findQueue, queueText } from './uplinks.ts';

/** Whether this kernel has the queue: tried in a network namespace of its own, on its loopback. Wants root. */
export const canShape = async (): Promise<boolean> => {
  const netnsFd = createNetworkNamespace();
  try {
    using socket = inNetworkNamespace(netnsFd, () => new NetlinkSocket(netlinkProtocols.route));
    const [made] = await socket.send([makeRoot(loopbackIndex, handleOf(0))]);
    return made!.errno === 0;
  } finally {
    closeFd(netnsFd);
  }
};

/** The root queue that somebody has put in place of a device's default one. */
export interface DeviceQueue {
  /** As `tc` names it. */
  text: string;
  /** Of the instance whose it is; null: none of Cenote's. */
  instanceNumber: number | null;
}

/** Null: the device has its default queue. Undefined: there is no such device. */
export const queueOf = async (device: string): Promise<DeviceQueue | null | undefined> => {
  using socket = new NetlinkSocket(netlinkProtocols.route);
  const found = await findQueue(socket, device);
  if (found === null) return undefined;
  return found.root === undefined ? null : { text: queueText(found.root), instanceNumber: instanceNumberOf(found.root) };
};

/** Devices with a default route, in the words of `/proc/net/route`. */
export const parseDefaultDevices = (text: string): string[] => {
  const reject = 0x200;
  const devices = text
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(([, destination, , flags, , , , mask]) => destination === '00000000' && mask === '00000000' && (Number.parseInt(flags!, 16) & reject) === 0)
    .map(([device]) => device!);
  return [...new Set(devices)];
};
