/** By which link a wire is: a device of the host's, which is left as it is but for when it answers, or one of ours for a tag there, which all networks with that tag share. */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { CenoteError } from '../../base/errors.ts';
import { refuseOwnDevice } from '../../model/network.ts';
import type { WiredSubnet } from '../../model/network.ts';
import { isErrno } from '../../sys/libc.ts';
import { NetlinkError, demand } from '../../sys/netlink.ts';
import type { NetlinkSocket } from '../../sys/netlink.ts';
import { getLink, inet4Settings, setInet4, setUp } from './route-messages.ts';
import { createVlan, deleteLink, findRoute, parseDevice, parseLeading } from './wire-messages.ts';
import type { FoundDevice } from './wire-messages.ts';

const prefixOf = (instanceNumber: number): string => `cn${instanceNumber}w`;
/** Of one tag on several devices. */
const suffixes = ['', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
/** Of `rp_filter`. */
const [strict, loose] = [1, 2];

export const findDevice = async (socket: NetlinkSocket, name: string): Promise<FoundDevice | null> => {
  const [found] = await socket.send([getLink({ name })]);
  if (found!.code === 'ENODEV') return null;
  demand(`find ${name}`, [found!]);
  return parseDevice(found!.messages[0]!.body);
};

/** The link, up; made where it is one for a tag, and taken where it is there. */
export const layLink = async (socket: NetlinkSocket, instanceNumber: number, wired: WiredSubnet): Promise<FoundDevice> => {
  const { subnet, device, tag } = wired;
  refuseOwnDevice(device);
  const lower = await findDevice(socket, device);
  if (lower === null)
    throw new CenoteError('unsupported', `network ${subnet} is on the wire at ${device}, and this host has no such device`, {
      advice: '`ip link` shows the devices that it has',
    });
  if (!lower.isUp)
    throw new CenoteError('unsupported', `network ${subnet} is on the wire at ${device}, which is down`, {
      advice: `\`ip link set ${device} up\` turns it on`,
    });
  if (tag === undefined) refuseStrict(lower.name);
  const link = tag === undefined ? lower : await layTag(socket, instanceNumber, lower, tag);
  await refuseElsewhere(socket, wired, link);
  writeFileSync(delayPath(link.name), '0');
  return link;
};

/** Who checks strictly takes a packet only where an answer of the host's own would go: what comes from behind the gateway would be dropped. */
const refuseStrict = (device: string): void => {
  const [all, own] = ['all', device].map((name) => Number(readFileSync(`/proc/sys/net/ipv4/conf/${name}/rp_filter`, 'latin1')));
  if (Math.max(all!, own!) !== strict) return;
  throw new CenoteError('unsupported', `${device} drops what the host itself would not answer by it (rp_filter ${strict})`, {
    advice: `\`sysctl net.ipv4.conf.${device}.rp_filter=${loose}\` lets machines on the wire there be reached`,
  });
};

/** Else others on the wire would be sought there. */
const refuseElsewhere = async (socket: NetlinkSocket, { subnet, gateway }: WiredSubnet, link: FoundDevice): Promise<void> => {
  const [found] = await socket.send([findRoute(gateway)]);
  const route = found!.errno === 0 ? parseLeading(found!.messages[0]!.body) : null;
  if (route === null || route.prefix === 0 || route.index === link.index) return;
  throw new CenoteError(
    'unsupported',
    `network ${subnet} is on the wire at ${link.name}, and the host has a route to its gateway ${gateway} by another device`,
    {
      advice: `\`ip route get ${gateway}\` shows it`,
    },
  );
};

const layTag = async (socket: NetlinkSocket, instanceNumber: number, lower: FoundDevice, tag: number): Promise<FoundDevice> => {
  for (const suffix of suffixes) {
    const name = `${prefixOf(instanceNumber)}${tag}${suffix}`;
    const there = await findDevice(socket, name);
    if (there !== null && (there.vlan?.lower !== lower.index || there.vlan.tag !== tag)) continue;
    if (there === null) await createTag(socket, name, lower, tag);
    const settings = setInet4({ name }, [[inet4Settings.reversePathFilter, loose]]);
    demand(`set up ${name}`, await socket.send([settings, setUp({ name })]));
    return (await findDevice(socket, name))!;
  }
  throw new CenoteError('unsupported', `tag ${tag} is on ${suffixes.length} devices already, as many as can be`);
};

const createTag = async (socket: NetlinkSocket, name: string, lower: FoundDevice, tag: number): Promise<void> => {
  try {
    demand(`make ${name} for tag ${tag} at ${lower.name}`, await socket.send([createVlan(name, lower.index, tag)]));
  } catch (cause) {
    if (!(cause instanceof NetlinkError) || !['EOPNOTSUPP', 'EEXIST'].includes(cause.code)) throw cause;
    throw cause.code === 'EEXIST'
      ? new CenoteError('unsupported', `${lower.name} has another link for tag ${tag}, which is not Cenote's`, {
          cause,
          advice: 'remove it, or name it as the device, without a tag',
        })
      : new CenoteError('unsupported', `tag ${tag} at ${lower.name}: this host's kernel makes no VLANs (802.1Q)`, {
          cause,
          advice: '`modprobe 8021q` loads what it lacks',
        });
  }
};

/**
 * The kernel waits up to 0.8 s with answers that it gives for others, lest many do so at once, and forgets those that wait whenever any link of
 * the host goes, as machines' links do all the time. So where wires are they are given at once.
 */
const delayPath = (link: string): string => `/proc/sys/net/ipv4/neigh/${link}/proxy_delay`;

/** A device that no wire is at any more is as others are. */
export const leaveDevice = (name: string): void => {
  try {
    writeFileSync(delayPath(name), readFileSync(delayPath('default')));
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error; // it has gone itself
  }
};

/** Links for tags that this instance has made go, but for these. */
export const removeLinksBut = async (socket: NetlinkSocket, instanceNumber: number, kept: readonly number[]): Promise<void> => {
  const own = new RegExp(`^${prefixOf(instanceNumber)}\\d{1,4}[b-h]?$`);
  for (const name of tagLinks().filter((one) => own.test(one))) {
    const found = await findDevice(socket, name);
    if (found !== null && !kept.includes(found.index)) demand(`remove ${name}`, await socket.send([deleteLink(found.index)]), 'ENODEV');
  }
};

/** Among thousands of links those for tags have a list of their own. */
const tagLinks = (): string[] => {
  try {
    return readdirSync('/proc/net/vlan');
  } catch {
    return []; // the kernel makes none
  }
};
