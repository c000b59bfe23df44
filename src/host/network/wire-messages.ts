/** The rtnetlink messages that wires are made of (linux/if_link.h, fib_rules.h, neighbour.h), as values: nothing here sends anything. */
import { attribute, nested, netlinkFlags, parseAttributes, text, u32, u8 } from '../../sys/netlink.ts';
import type { NetlinkRequest } from '../../sys/netlink.ts';
import { addressBytes, addressFromBytes } from '../../model/address.ts';
import { firstOf, parseDestination } from '../../model/subnet.ts';
import type { Destination } from '../../model/subnet.ts';
import { afInet, create, linkAttributes, linkHeader, mainTable, messageTypes, routeAttributes, routeProtocol, routeRequest } from './route-messages.ts';

const vlanKind = 'vlan';
const lowerLink = 5;
const linkUp = 1;

/** A link for what has the tag on the wire at another. */
export const createVlan = (name: string, lower: number, tag: number): NetlinkRequest => ({
  type: messageTypes.newLink,
  flags: netlinkFlags.create | netlinkFlags.exclusive,
  body: Buffer.concat([
    linkHeader(0),
    attribute(linkAttributes.name, text(name)),
    attribute(lowerLink, u32(lower)),
    nested(linkAttributes.linkInfo, attribute(1, text(vlanKind)), nested(2, attribute(1, Buffer.from([tag & 0xff, tag >> 8])))),
  ]),
});
export const deleteLink = (index: number): NetlinkRequest => ({ type: messageTypes.deleteLink, flags: 0, body: linkHeader(index) });

export interface FoundDevice {
  name: string;
  index: number;
  isUp: boolean;
  /** Null: none as Ethernet has. */
  mac: Buffer | null;
  /** Of a link for a tag. */
  vlan: { lower: number; tag: number } | null;
}

export const parseDevice = (body: Buffer): FoundDevice => {
  const attributes = parseAttributes(body.subarray(16));
  const info = parseAttributes(attributes.get(linkAttributes.linkInfo) ?? Buffer.alloc(0));
  const tag = parseAttributes(info.get(2) ?? Buffer.alloc(0)).get(1);
  const mac = attributes.get(linkAttributes.address);
  const isVlan = wordOf(info.get(1)) === vlanKind && tag !== undefined;
  return {
    name: wordOf(attributes.get(linkAttributes.name)),
    index: body.readInt32LE(4),
    isUp: (body.readUInt32LE(8) & linkUp) !== 0,
    mac: mac?.length === 6 ? mac : null,
    vlan: isVlan ? { lower: attributes.get(lowerLink)?.readInt32LE(0) ?? 0, tag: tag.readUInt16LE(0) } : null,
  };
};

const wordOf = (bytes: Buffer | undefined): string => bytes?.toString('latin1').replace(/\0.*$/s, '') ?? '';

/** Smaller ones are asked first; whoever has no metric is before. */
const lastMetric = 0xffff_fff0;

/** All that a wire's table has: the subnet on the link, everything else by the gateway there, and nothing when the link has gone. */
export const addWireRoutes = (table: number, index: number, subnet: Destination, gateway: string): NetlinkRequest[] => {
  const everywhere = { destination: '0.0.0.0', prefix: 0, scope: 'universe', table } as const;
  return [
    { ...everywhere, kind: 'unreachable', metric: lastMetric } as const,
    { destination: firstOf(subnet), prefix: subnet.prefix, kind: 'unicast', scope: 'link', index, table } as const,
    { ...everywhere, kind: 'unicast', index, gateway } as const,
  ].map((route) => routeRequest(messageTypes.newRoute, create, route));
};
export const listTable = (table: number): NetlinkRequest => ({
  type: messageTypes.getRoute,
  flags: 0,
  body: Buffer.concat([Buffer.from([afInet, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), attribute(routeAttributes.table, u32(table))]),
});
/** The route that the host has to an address. */
export const findRoute = (address: string): NetlinkRequest => {
  const asItStands = 0x2000;
  const header = Buffer.from([afInet, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32LE(asItStands, 8);
  return { type: messageTypes.getRoute, flags: 0, body: Buffer.concat([header, attribute(routeAttributes.destination, addressBytes(address))]) };
};
/** How much of the address it says, and by which device it leads; null: by none, or several. */
export const parseLeading = (body: Buffer): { prefix: number; index: number } | null => {
  const index = parseAttributes(body.subarray(12)).get(routeAttributes.oif)?.readInt32LE(0);
  return index === undefined ? null : { prefix: body[1]!, index };
};
/** As it was found. */
export const deleteFoundRoute = (body: Buffer): NetlinkRequest => ({ type: messageTypes.deleteRoute, flags: 0, body });
/** By which device a route that was found leads everywhere; undefined: it does not. */
export const leadsEverywhereBy = (body: Buffer): number | undefined => {
  const unicast = 1;
  return body[1] === 0 && body[7] === unicast ? parseAttributes(body.subarray(12)).get(routeAttributes.oif)?.readInt32LE(0) : undefined;
};

const ruleAttributes = { source: 2, inLink: 3, priority: 6, suppressPrefix: 14, table: 15, protocol: 21 } as const;
const toTable = 1;
/** As which the host's own packets come in. */
const loopback = 'lo';

/** By which table what comes from an address is routed: the main one for what the host itself sends, the main one but for its default routes, a wire's. */
export type RuleKind = 'own' | 'near' | 'wire';

export interface SourceRule {
  source: Destination;
  kind: RuleKind;
  priority: number;
  table: number;
}

const ruleRequest = (type: number, flags: number, { source, kind, priority, table }: SourceRule): NetlinkRequest => ({
  type,
  flags,
  body: Buffer.concat([
    Buffer.from([afInet, 0, source.prefix, 0, 0, 0, 0, toTable, 0, 0, 0, 0]),
    attribute(ruleAttributes.source, addressBytes(firstOf(source))),
    attribute(ruleAttributes.priority, u32(priority)),
    attribute(ruleAttributes.table, u32(table)),
    attribute(ruleAttributes.protocol, u8(routeProtocol)),
    ...(kind === 'own' ? [attribute(ruleAttributes.inLink, text(loopback))] : []),
    ...(kind === 'near' ? [attribute(ruleAttributes.suppressPrefix, u32(0))] : []),
  ]),
});
/** EEXIST: it is there already. */
export const addRule = (rule: SourceRule): NetlinkRequest => ruleRequest(messageTypes.newRule, netlinkFlags.create | netlinkFlags.exclusive, rule);
export const deleteRule = (rule: SourceRule): NetlinkRequest => ruleRequest(messageTypes.deleteRule, 0, rule);
export const listRules = (): NetlinkRequest => ({ type: messageTypes.getRule, flags: 0, body: Buffer.from([afInet, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) });

/** Null for one that is not of ours. */
export const parseRule = (body: Buffer): SourceRule | null => {
  const attributes = parseAttributes(body.subarray(12));
  const source = attributes.get(ruleAttributes.source);
  const priority = attributes.get(ruleAttributes.priority)?.readUInt32LE(0);
  const table = attributes.get(ruleAttributes.table)?.readUInt32LE(0);
  if (attributes.get(ruleAttributes.protocol)?.[0] !== routeProtocol || source === undefined || priority === undefined || table === undefined) return null;
  const kind = table !== mainTable ? 'wire' : attributes.has(ruleAttributes.inLink) ? 'own' : 'near';
  return { source: parseDestination('rule', `${addressFromBytes(source)}/${body[2]}`), kind, priority, table };
};

const proxy = 8;
const permanent = 0x80;
const neighbourAttributes = { address: 1, protocol: 12 } as const;

const proxyRequest = (type: number, flags: number, index: number, address: string): NetlinkRequest => {
  const header = Buffer.alloc(12);
  header[0] = afInet;
  header.writeInt32LE(index, 4);
  header.writeUInt16LE(permanent, 8);
  header[10] = proxy;
  const attributes = [attribute(neighbourAttributes.address, addressBytes(address)), attribute(neighbourAttributes.protocol, u8(routeProtocol))];
  return { type, flags, body: Buffer.concat([header, ...attributes]) };
};
/** Who asks for the address at this link is told the link's own. */
export const addProxy = (index: number, address: string): NetlinkRequest => proxyRequest(messageTypes.newNeighbour, create, index, address);
export const deleteProxy = (index: number, address: string): NetlinkRequest => proxyRequest(messageTypes.deleteNeighbour, 0, index, address);
export const listProxies = (): NetlinkRequest => {
  const body = Buffer.alloc(12);
  body[0] = afInet;
  body[10] = proxy;
  return { type: messageTypes.getNeighbour, flags: 0, body };
};

/** Null for one that is not of ours. */
export const parseProxy = (body: Buffer): { index: number; address: string } | null => {
  const attributes = parseAttributes(body.subarray(12));
  const address = attributes.get(neighbourAttributes.address);
  if (attributes.get(neighbourAttributes.protocol)?.[0] !== routeProtocol || address === undefined) return null;
  return { index: body.readInt32LE(4), address: addressFromBytes(address) };
};
