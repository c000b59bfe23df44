/** The rtnetlink messages that the network is made of (linux/rtnetlink.h, if_link.h), as values: nothing here sends anything. */
import { align4, attribute, nested, netlinkFlags, parseAttributes, text, u32, u8 } from '../../sys/netlink.ts';
import type { NetlinkRequest } from '../../sys/netlink.ts';
import { addressBytes } from '../../model/address.ts';
import type { Family } from '../../model/address.ts';
import { firstOf } from '../../model/subnet.ts';
import type { Destination } from '../../model/subnet.ts';

export const messageTypes = {
  newLink: 16,
  deleteLink: 17,
  getLink: 18,
  newAddress: 20,
  deleteAddress: 21,
  newRoute: 24,
  deleteRoute: 25,
  getRoute: 26,
  newNeighbour: 28,
  deleteNeighbour: 29,
  getNeighbour: 30,
  newRule: 32,
  deleteRule: 33,
  getRule: 34,
} as const;
export const linkAttributes = { address: 1, name: 3, link: 5, queue: 6, linkInfo: 18, group: 27, stats64: 23, linkNamespace: 37, targetNamespace: 46 } as const;
export const routeAttributes = { destination: 1, oif: 4, gateway: 5, metric: 6, multipath: 9, table: 15 } as const;

export const afInet = 2;
const afInet6 = 10;
/** What a message is about follows from the length of the addresses in it. */
const familyOf = (bytes: Uint8Array): number => (bytes.length === 4 ? afInet : afInet6);
const bitsOf = (bytes: Uint8Array): number => bytes.length * 8;
const iflaAfSpec = 26;
const linkFlagUp = 1;
const linkFlagNoArp = 0x80;
export const mainTable = 254;
export const scopes = { universe: 0, link: 253, host: 254 } as const;
const neighbourPermanent = 0x80;
/** Marks our routes among those of the host. */
export const routeProtocol = 206;
export const loopbackIndex = 1;

/** A link by its number, or by its name. */
export type LinkRef = { index: number } | { name: string };

export const linkHeader = (index: number, flags = 0, changed = 0): Buffer => {
  const result = Buffer.alloc(16);
  result.writeInt32LE(index, 4);
  result.writeUInt32LE(flags, 8);
  result.writeUInt32LE(changed, 12);
  return result;
};

const linkRequest = (type: number, link: LinkRef, attributes: Uint8Array[], flags = 0, changed = 0): NetlinkRequest => ({
  type,
  flags: 0,
  body: Buffer.concat([
    linkHeader('index' in link ? link.index : 0, flags, changed),
    ...('name' in link ? [attribute(linkAttributes.name, text(link.name))] : []),
    ...attributes,
  ]),
});

/** One queue is enough for one machine; the kernel's default of one per processor costs memory in every link. */
const oneQueue = [attribute(31, u32(1)), attribute(32, u32(1))];

export interface Pair {
  name: string;
  mac: Buffer;
  /** Name of the other end. */
  inside: string;
  netnsFd: number;
  /** Of both ends; undefined: the kernel's usual. */
  mtu: number | undefined;
}

/** A veth pair, one end here, the other made directly in the machine's network namespace. */
export const createPair = ({ name, mac, inside, netnsFd, mtu }: Pair): NetlinkRequest => {
  const both = [...oneQueue, ...(mtu === undefined ? [] : [attribute(4, u32(mtu))])];
  const peer = attribute(1, Buffer.concat([linkHeader(0), attribute(linkAttributes.name, text(inside)), attribute(28, u32(netnsFd)), ...both]));
  const info = nested(linkAttributes.linkInfo, attribute(1, text('veth')), nested(2, peer));
  const body = Buffer.concat([linkHeader(0), attribute(linkAttributes.name, text(name)), attribute(linkAttributes.address, mac), ...both, info]);
  return { type: messageTypes.newLink, flags: netlinkFlags.create | netlinkFlags.exclusive, body };
};

/** No link-local IPv6 address. Fails harmlessly with EAFNOSUPPORT or EOPNOTSUPP where IPv6 is off. */
export const withoutLinkLocal = (link: LinkRef): NetlinkRequest =>
  linkRequest(messageTypes.newLink, link, [nested(iflaAfSpec, nested(afInet6, attribute(8, u8(1))))]);

/** IPv4 settings of one link by their number (linux/ip.h, IPV4_DEVCONF_*). */
export const inet4Settings = { reversePathFilter: 8, routeLocalnet: 26 } as const;
export const setInet4 = (link: LinkRef, settings: [number, number][]): NetlinkRequest =>
  linkRequest(messageTypes.newLink, link, [nested(iflaAfSpec, nested(afInet, nested(1, ...settings.map(([id, value]) => attribute(id, u32(value))))))]);

export const setUp = (link: LinkRef): NetlinkRequest => linkRequest(messageTypes.newLink, link, [], linkFlagUp, linkFlagUp);
/** Up, and without ARP: neighbours on these links are permanent entries, so nobody can claim an address by answering first. */
export const setUpWithoutArp = (link: LinkRef): NetlinkRequest =>
  linkRequest(messageTypes.newLink, link, [], linkFlagUp | linkFlagNoArp, linkFlagUp | linkFlagNoArp);
export const setMac = (link: LinkRef, mac: Buffer): NetlinkRequest => linkRequest(messageTypes.newLink, link, [attribute(linkAttributes.address, mac)]);
export const setGroup = (link: LinkRef, group: number): NetlinkRequest =>
  linkRequest(messageTypes.newLink, link, [attribute(linkAttributes.group, u32(group))]);
export const deleteGroup = (group: number): NetlinkRequest => linkRequest(messageTypes.deleteLink, { index: 0 }, [attribute(linkAttributes.group, u32(group))]);

const skipStatistics = attribute(29, u32(8));
export const getLink = (link: LinkRef): NetlinkRequest => linkRequest(messageTypes.getLink, link, [skipStatistics]);

/** A link in another namespace, by its number there and the namespace's here. */
export interface LinkElsewhere {
  index: number;
  namespace: number;
}

/** Of a pair, whose one end this is. */
export const otherEndOf = (body: Buffer): LinkElsewhere => {
  const attributes = parseAttributes(body.subarray(16));
  const [index, namespace] = [attributes.get(linkAttributes.link), attributes.get(linkAttributes.linkNamespace)];
  if (index === undefined || namespace === undefined) throw new Error('a link has no other end');
  return { index: index.readInt32LE(0), namespace: namespace.readInt32LE(0) };
};
export const getStatistics = ({ index, namespace }: LinkElsewhere): NetlinkRequest =>
  linkRequest(messageTypes.getLink, { index }, [attribute(linkAttributes.targetNamespace, u32(namespace))]);
export const listVeths = (): NetlinkRequest =>
  linkRequest(messageTypes.getLink, { index: 0 }, [skipStatistics, nested(linkAttributes.linkInfo, attribute(1, text('veth')))]);

/** Nobody else is on the wire who might have an IPv6 address already. */
const withoutDuplicateDetection = 2;

const addressRequest = (type: number, flags: number, index: number, address: string, scope: number): NetlinkRequest => {
  const bytes = addressBytes(address);
  const header = Buffer.from([familyOf(bytes), bitsOf(bytes), familyOf(bytes) === afInet6 ? withoutDuplicateDetection : 0, scope, 0, 0, 0, 0]);
  header.writeUInt32LE(index, 4);
  return { type, flags, body: Buffer.concat([header, attribute(1, bytes), attribute(2, bytes)]) };
};

export const addAddress = (index: number, address: string, scope: keyof typeof scopes): NetlinkRequest =>
  addressRequest(messageTypes.newAddress, netlinkFlags.create | netlinkFlags.replace, index, address, scopes[scope]);
export const deleteAddress = (index: number, address: string): NetlinkRequest => addressRequest(messageTypes.deleteAddress, 0, index, address, scopes.host);

const neighbourHeader = (index: number, address: Uint8Array): Buffer => {
  const header = Buffer.alloc(12);
  header[0] = familyOf(address);
  header.writeInt32LE(index, 4);
  header.writeUInt16LE(neighbourPermanent, 8);
  return header;
};
const neighbourRequest = (type: number, flags: number, index: number, address: string, ...attributes: Uint8Array[]): NetlinkRequest => {
  const bytes = addressBytes(address);
  return { type, flags, body: Buffer.concat([neighbourHeader(index, bytes), attribute(1, bytes), ...attributes]) };
};

export const addNeighbour = (index: number, address: string, mac: Buffer): NetlinkRequest =>
  neighbourRequest(messageTypes.newNeighbour, netlinkFlags.create | netlinkFlags.replace, index, address, attribute(2, mac));
export const deleteNeighbour = (index: number, address: string): NetlinkRequest => neighbourRequest(messageTypes.deleteNeighbour, 0, index, address);

export interface Route {
  destination: string;
  prefix: number;
  kind: 'unicast' | 'unreachable';
  scope: keyof typeof scopes;
  index?: number;
  gateway?: string;
  source?: string;
  /** Absent: the main one. */
  table?: number;
  /** The route with the smallest is taken; absent: none is smaller. */
  metric?: number;
}

const routeKinds = { unicast: 1, unreachable: 7 } as const;
const onLink = 4;

export const routeRequest = (type: number, flags: number, route: Route): NetlinkRequest => {
  const destination = addressBytes(route.destination);
  const table = route.table === undefined ? mainTable : 0; // larger numbers than a byte's are an attribute
  const header = Buffer.from([familyOf(destination), route.prefix, 0, 0, table, routeProtocol, scopes[route.scope], routeKinds[route.kind], 0, 0, 0, 0]);
  if (route.gateway !== undefined) header.writeUInt32LE(onLink, 8);
  return {
    type,
    flags,
    body: Buffer.concat([
      header,
      ...(route.prefix > 0 ? [attribute(routeAttributes.destination, destination)] : []),
      ...(route.index === undefined ? [] : [attribute(routeAttributes.oif, u32(route.index))]),
      ...(route.gateway === undefined ? [] : [attribute(5, addressBytes(route.gateway))]),
      ...(route.source === undefined ? [] : [attribute(7, addressBytes(route.source))]),
      ...(route.metric === undefined ? [] : [attribute(routeAttributes.metric, u32(route.metric))]),
      ...(route.table === undefined ? [] : [attribute(routeAttributes.table, u32(route.table))]),
    ]),
  };
};

export const create = netlinkFlags.create | netlinkFlags.replace;
/** The machine's only way out. The gateway is not in the /32 of the machine, hence on-link. */
export const addDefaultRoute = (index: number, gateway: string): NetlinkRequest => {
  const destination = gateway.includes(':') ? '::' : '0.0.0.0';
  return routeRequest(messageTypes.newRoute, create, { destination, prefix: 0, kind: 'unicast', scope: 'universe', index, gateway });
};

const routeBy = (index: number, to: Destination, gateway: string): Route => ({
  destination: firstOf(to),
  prefix: to.prefix,
  kind: 'unicast',
  scope: 'universe',
  index,
  gateway,
});
/** To the machines of one's network, by its router as everything; or to what a machine carries. */
export const addRouteBy = (index: number, destination: Destination, gateway: string): NetlinkRequest =>
  routeRequest(messageTypes.newRoute, create, routeBy(index, destination, gateway));
export const deleteRouteBy = (index: number, destination: Destination, gateway: string): NetlinkRequest =>
  routeRequest(messageTypes.deleteRoute, 0, routeBy(index, destination, gateway));

const machineRoute = (index: number, address: string, source: string | undefined): Route => ({
  destination: address,
  prefix: bitsOf(addressBytes(address)),
  kind: 'unicast',
  scope: 'link',
  index,
  ...(source === undefined ? {} : { source }),
});
export const addMachineRoute = (index: number, address: string, source: string | undefined): NetlinkRequest =>
  routeRequest(messageTypes.newRoute, create, machineRoute(index, address, source));
export const deleteMachineRoute = (index: number, address: string): NetlinkRequest =>
  routeRequest(messageTypes.deleteRoute, 0, { destination: address, prefix: bitsOf(addressBytes(address)), kind: 'unicast', scope: 'link', index });

/** What goes to an address of the subnet that no machine has is answered here, and does not leave by the host's default route. */
const unreachable = (to: Destination): Route => ({ destination: firstOf(to), prefix: to.prefix, kind: 'unreachable', scope: 'universe' });
export const addUnreachable = (to: Destination): NetlinkRequest => routeRequest(messageTypes.newRoute, create, unreachable(to));
export const deleteUnreachable = (to: Destination): NetlinkRequest => routeRequest(messageTypes.deleteRoute, 0, unreachable(to));

/** Routes of the main table; of one protocol, chosen in the kernel, or all. */
export const listRoutes = (protocol = 0, family: Family = 4): NetlinkRequest => ({
  type: messageTypes.getRoute,
  flags: 0,
  body: Buffer.from([family === 4 ? afInet : afInet6, 0, 0, 0, mainTable, protocol, 0, 0, 0, 0, 0, 0]),
});

/** Our own. */
export const listOwnRoutes = (family: Family): NetlinkRequest => listRoutes(routeProtocol, family);

/** The devices by which a default route leads, by their numbers: one, or several; none for any other route. */
export const defaultDevicesOf = (body: Buffer): number[] => {
  const [prefix, table, kind] = [body[1], body[4], body[7]];
  if (prefix !== 0 || table !== mainTable || kind !== routeKinds.unicast) return [];
  const attributes = parseAttributes(body.subarray(12));
  const one = attributes.get(routeAttributes.oif);
  const several = attributes.get(routeAttributes.multipath) ?? Buffer.alloc(0);
  const found = one === undefined ? [] : [one.readInt32LE(0)];
  // struct rtnexthop: length, flags, hops, device
  for (let at = 0; at + 8 <= several.length; at += align4(Math.max(8, several.readUInt16LE(at)))) found.push(several.readInt32LE(at + 4));
  return found;
};
