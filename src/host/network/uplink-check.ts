/** What can be said of shaping before anything is shaped; nothing of the host is changed by asking. */
import { closeFd } from '../../sys/libc.ts';
import { NetlinkSocket, netlinkProtocols, parseAttributes } from '../../sys/netlink.ts';
import type { NetlinkMessage } from '../../sys/netlink.ts';
import { createNetworkNamespace, inNetworkNamespace } from '../../sys/netns.ts';
import { handleOf, instanceNumberOf, makeRoot } from './htb.ts';
import { defaultDevicesOf, getLink, linkAttributes, listRoutes, loopbackIndex } from './route-messages.ts';
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

/** By which default routes lead out, each once; also those that share one. */
export const defaultDevices = async (): Promise<string[]> => {
  using socket = new NetlinkSocket(netlinkProtocols.route);
  const indexes = new Set<number>();
  await socket.scan(listRoutes(), ({ body }) => {
    for (const index of defaultDevicesOf(body)) indexes.add(index);
  });
  const links = await socket.send(Array.from(indexes, (index) => getLink({ index })));
  // One that has just gone has no answer.
  return links.flatMap(({ messages: [link] }) => (link === undefined ? [] : [nameOf(link)]));
};

const nameOf = ({ body }: NetlinkMessage): string => parseAttributes(body.subarray(16)).get(linkAttributes.name)!.toString('latin1').replace(/\0.*$/s, '');
