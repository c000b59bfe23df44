/** One entry of the kernel's table of known flows (linux/netfilter/nfnetlink_conntrack.h). */
import { addressFromBytes, parseAddress, widthOf } from '../../model/address.ts';
import type { Family } from '../../model/address.ts';
import type { Subnet } from '../../model/subnet.ts';
import { align4, attribute, nested, parseAttributes } from '../../sys/netlink.ts';

const attributes = { original: 1, status: 3, id: 12 } as const;
const statusTranslated = 0x30;

/** An address as what it is found by: a number, or of IPv6 a large one. */
export type AddressKey = number | bigint;

export const keyOf = (text: string): AddressKey => {
  const address = parseAddress(text);
  if (address === undefined) throw new Error(`${JSON.stringify(text)} is not an address`);
  return keyOfValue(address.family, address.value);
};

const keyOfValue = (family: Family, value: bigint): AddressKey => (family === 4 ? Number(value) : value);

/** Whether a key is of one of the subnet's addresses. */
export const keysWithin = ({ family, first, prefix }: Subnet): ((key: AddressKey) => boolean) => {
  const [least, most] = [first, first + (1n << BigInt(widthOf(family) - prefix)) - 1n].map((value) => keyOfValue(family, value)) as [AddressKey, AddressKey];
  return (key) => key >= least && key <= most;
};

/** A flow as a firewall judges it: how it was begun, and who answers behind any translation. */
export interface BegunFlow {
  from: string;
  to: string;
  /** As IP numbers it. */
  protocol: number;
  /** Where it was begun, the port it was begun to, and the one that answers. */
  sourcePort: number;
  port: number;
  answeringPort: number;
  /** Of ICMP. */
  type: number;
  code: number;
}

export interface Flow {
  /** Who began it. */
  source: AddressKey;
  /** Where it was begun to. */
  target: AddressKey;
  /** Who answers, behind any translation. */
  answerer: AddressKey;
  /** Whom it is answered to, behind any. */
  seenAs: AddressKey;
  protocol: number;
  /** The port it was begun to. */
  port: number;
  translated(): boolean;
  begun(): BegunFlow;
  /** What a request to delete it must hold. */
  name(): Buffer;
}

/** How addresses stand in an entry. */
interface Addresses {
  bytes: number;
  keyAt: (body: Buffer, at: number) => AddressKey;
}

const addresses: Readonly<Record<Family, Addresses>> = {
  4: { bytes: 4, keyAt: (body, at) => body.readUInt32BE(at) },
  6: { bytes: 16, keyAt: (body, at) => (body.readBigUInt64BE(at) << 64n) | body.readBigUInt64BE(at + 8) },
};

export interface FlowReader {
  /** Of a message about this family's flows. */
  header: Buffer;
  /** Undefined for what is none, or the other family's. */
  read: (body: Buffer) => Flow | undefined;
}

export const flowReader = (family: Family): FlowReader => {
  const header = Buffer.from([family === 4 ? 2 : 10, 0, 0, 0]);
  return { header, read: (body) => readFlow(header, addresses[family], body) };
};

/**
 * Both tuples come first, always in the same form (address pair, then protocol and ports), and are read where they stand: the table may
 * hold hundreds of thousands.
 */
const readFlow = (header: Buffer, { bytes, keyAt }: Addresses, body: Buffer): Flow | undefined => {
  if (body.length < 48 || body[0] !== header[0]) return undefined;
  const [from, to] = [12, 16 + bytes];
  const original = 4;
  const reply = original + align4(body.readUInt16LE(original));
  if (reply + to + bytes > body.length) return undefined;
  const protocolPart = original + 8 + align4(body.readUInt16LE(original + 4)) - 4;
  const hasPorts = protocolPart + 28 <= reply;
  const replyProtocolPart = reply + 8 + align4(body.readUInt16LE(reply + 4)) - 4;
  const byteAt = (at: number, end: number): number => (at < end ? body[at]! : 0);
  return {
    source: keyAt(body, original + from),
    target: keyAt(body, original + to),
    answerer: keyAt(body, reply + from),
    seenAs: keyAt(body, reply + to),
    protocol: hasPorts ? body[protocolPart + 8]! : 0,
    port: hasPorts ? body.readUInt16BE(protocolPart + 24) : 0,
    translated: () => ((parseAttributes(body.subarray(4)).get(attributes.status)?.readUInt32BE(0) ?? 0) & statusTranslated) !== 0,
    begun: () => ({
      from: addressFromBytes(body.subarray(original + from, original + from + bytes)),
      to: addressFromBytes(body.subarray(reply + from, reply + from + bytes)),
      protocol: byteAt(protocolPart + 8, reply),
      sourcePort: hasPorts ? body.readUInt16BE(protocolPart + 16) : 0,
      port: hasPorts ? body.readUInt16BE(protocolPart + 24) : 0,
      answeringPort: hasPorts && replyProtocolPart + 18 <= body.length ? body.readUInt16BE(replyProtocolPart + 16) : 0,
      type: byteAt(protocolPart + 24, reply),
      code: byteAt(protocolPart + 32, reply),
    }),
    name: () => {
      const found = parseAttributes(body.subarray(4));
      return Buffer.concat([header, nested(attributes.original, found.get(attributes.original)!), attribute(attributes.id, found.get(attributes.id)!)]);
    },
  };
};
