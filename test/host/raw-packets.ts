/** IPv4 and IPv6 packets byte by byte, also such as no kernel would send: for tests of what becomes of them. */
import { addressBytes } from '../../src/model/address.ts';
import { macBytes } from '../../src/model/mac.ts';
import { checksum, withChecksum6 } from './network-world.ts';

export const protocols = { icmp: 1, tcp: 6, udp: 17, icmp6: 58 } as const;

/** An Ethernet frame; `tag` under a VLAN tag. Addresses are those whose MACs they are. */
export const ethernet = (from: string, to: string | Buffer, type: number, content: Buffer, tag?: number): Buffer => {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(type);
  const tagged = tag === undefined ? [] : [Buffer.from([0x81, 0, tag >> 8, tag & 255])];
  return Buffer.concat([typeof to === 'string' ? macBytes(to) : to, macBytes(from), ...tagged, head, content]);
};

export interface Packet {
  source: string;
  destination: string;
  protocol: number;
  content: Buffer;
  ttl?: number;
  /** Of IPv4, a multiple of four bytes. */
  options?: Buffer;
  fragment?: { id: number; offset: number; more: boolean };
}

export const packet4 = ({ source, destination, protocol, content, ttl = 64, options = Buffer.alloc(0), fragment }: Packet): Buffer => {
  const head = Buffer.alloc(20);
  head[0] = 0x45 + options.length / 4;
  head.writeUInt16BE(20 + options.length + content.length, 2);
  if (fragment !== undefined) {
    head.writeUInt16BE(fragment.id, 4);
    head.writeUInt16BE((fragment.offset >> 3) | (fragment.more ? 0x2000 : 0), 6);
  }
  head[8] = ttl;
  head[9] = protocol;
  addressBytes(source).copy(head, 12);
  addressBytes(destination).copy(head, 16);
  const whole = Buffer.concat([head, options]);
  whole.writeUInt16BE(checksum(whole), 10);
  return Buffer.concat([whole, content]);
};

/** `extensions` stand before the content, each with what follows it in its first byte; the first is of the kind `first`. */
export const packet6 = (packet: Packet, first = packet.protocol, extensions: readonly Buffer[] = []): Buffer => {
  const { source, destination, protocol, content, ttl = 64, fragment } = packet;
  const head = Buffer.alloc(8);
  head[0] = 0x60;
  head[6] = fragment === undefined ? first : 44;
  head[7] = ttl;
  const piece = Buffer.alloc(8);
  if (fragment !== undefined) {
    piece[0] = protocol;
    piece.writeUInt16BE((fragment.offset & ~7) | Number(fragment.more), 2);
    piece.writeUInt32BE(fragment.id, 4);
  }
  const behind = Buffer.concat([...(fragment === undefined ? [] : [piece]), ...extensions, content]);
  head.writeUInt16BE(behind.length, 4);
  return Buffer.concat([head, addressBytes(source), addressBytes(destination), behind]);
};

/** The content of a packet with its checksum at `at`, which is of the addresses too. */
export const summed = (source: string, destination: string, protocol: number, content: Buffer, at: number): Buffer => {
  const [from, to] = [addressBytes(source), addressBytes(destination)];
  if (from.length === 16) return withChecksum6(from, to, protocol, content, at);
  const pseudo = Buffer.from([...from, ...to, 0, protocol, content.length >> 8, content.length & 255]);
  const result = Buffer.from(content);
  result.writeUInt16BE(checksum(Buffer.concat([pseudo, content, Buffer.alloc(content.length % 2)])), at);
  return result;
};

export const datagram = (source: string, destination: string, ports: { from?: number; to: number }, payload: string | Buffer): Buffer => {
  const content = Buffer.concat([Buffer.alloc(8), Buffer.from(payload as string)]);
  content.writeUInt16BE(ports.from ?? 4444, 0);
  content.writeUInt16BE(ports.to, 2);
  content.writeUInt16BE(content.length, 4);
  return summed(source, destination, protocols.udp, content, 6);
};

/** The packet in pieces: cut at these bytes of its content, which are multiples of eight. */
export const inPieces = (make: (packet: Packet) => Buffer, packet: Omit<Packet, 'fragment'>, id: number, ...cuts: number[]): Buffer[] =>
  [0, ...cuts].map((offset, at) => {
    const end = cuts[at] ?? packet.content.length;
    return make({ ...packet, content: packet.content.subarray(offset, end), fragment: { id, offset, more: end < packet.content.length } });
  });

/** `claimed` is at the MAC of `sender`; the operation 1 asks for `asked`, 2 tells it. */
export const arp = (operation: number, sender: string, claimed: string, asked: string): Buffer =>
  Buffer.concat([Buffer.from([0, 1, 8, 0, 6, 4, 0, operation]), macBytes(sender), addressBytes(claimed), Buffer.alloc(6), addressBytes(asked)]);
