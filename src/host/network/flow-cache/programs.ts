/**
 * The two programs that every machine's link has at the router's end, of which the first runs on what the machine sends and the second on what is
 * about to go to it.
 *
 * *Incoming* looks into the cache, each processor's own, for the packet's flow: link, addresses, ports. What is known is rewritten as the router
 * would, and handed to the receiving machine. Of what is not it notes flow, generation and sender's MAC, and lets it go the usual way: rules,
 * flows, routes. *Outgoing* sees what the usual way has let through. Where that is the very packet that was noted last on this processor, on
 * the link, from the address and with the ports with which it came in, it is noted where it goes, and the flow is known for a second. So
 * what is known is what the kernel has just done itself: nothing is decided here, and what was translated is never known, since it left with other
 * addresses than it came with.
 *
 * From incoming to outgoing a packet does not leave its processor, nor does another come in there; whatever comes in takes the former note away.
 */
import { Assembly, r0, r1, r10, r2, r5, r6, r7, r8, r9 } from './assembly.ts';
import type { Register } from './assembly.ts';
import type { Family } from '../../../model/address.ts';

/** Flows that a processor knows are so many powers of two. One takes the place of another whose place it is too. */
export const placeBits = { most: 12, least: 6 } as const;
/** The element of the note: the element of the flow that is meant; its own number is none. */
const noteIndex = 0;
const note = { place: 0 } as const;
/** Places are behind it. */
export const entriesFor = (bits: number): number => 1 + 2 ** bits;

/** One flow. */
const entry = { until: 0, generation: 8, target: 16, macs: 20, senderMac: 32, segment: 40, link: 44, ports: 48, addresses: 52 } as const;
export const entryBytes = 88;
/** What the agent says to all programs. */
export const state = { until: 0, generation: 8 } as const;
export const stateBytes = 16;

/** How long a flow goes past the usual way before a packet of it takes that again. */
const knownForNs = 1_000_000_000;

/** `struct __sk_buff` */
const packet = { type: 4, vlanPresent: 20, comesFrom: 36, link: 40, data: 76, dataEnd: 80 } as const;
const helpers = { lookUp: 1, coarseTime: 160, redirectToPeer: 155 } as const;
const toThisHost = 0;
const nextProgram = -1;

const ethernet = { target: 0, sender: 6, kind: 12, bytes: 14 } as const;
const udp = 17;
const udpBytes = 8;

interface Header {
  /** As the processor reads it. */
  kind: number;
  bytes: number;
  hops: number;
  protocol: number;
  /** The sender's, and behind it the receiver's. */
  addresses: number;
  addressBytes: number;
}

const headers: Record<Family, Header> = {
  4: { kind: 0x0008, bytes: 20, hops: 8, protocol: 9, addresses: 12, addressBytes: 4 },
  6: { kind: 0xdd86, bytes: 40, hops: 7, protocol: 6, addresses: 8, addressBytes: 16 },
};
const ip4 = { versionAndLength: 0, withoutOptions: 0x45, fragment: 6, fragmentBits: 0xff3f, checksum: 10 } as const;

export interface ProgramsOptions {
  family: Family;
  cacheFd: number;
  stateFd: number;
  /** Of how many places the cache is made. */
  bits: number;
  /** Links have numbers of their own in each namespace: this says which. */
  segment: number;
}

/** Calls `work` for each four bytes of both addresses. */
const eachWord = ({ addresses, addressBytes }: Header, work: (inPacket: number, inEntry: number) => void): void => {
  for (let at = 0; at < 2 * addressBytes; at += 4) work(ethernet.bytes + addresses + at, entry.addresses + at);
};

/** On the stack: the number of the element that was looked up last. */
const element = -4;

/** `r0` is the element whose number is in `r1`; there is always one, which the verifier does not know. */
const lookUp = (program: Assembly, cacheFd: number): Assembly =>
  program
    .store(4, r10, element, r1)
    .compute('move', r2, { register: r10 })
    .compute('add', r2, element)
    .map(r1, cacheFd)
    .call(helpers.lookUp)
    .jumpIf(r0, 'equal', 0, 'pass');

/** `r7` is where the packet's bytes begin, which are those of a datagram that is whole and says nothing special. */
const findDatagram = (program: Assembly, header: Header, family: Family): void => {
  program.load(4, r7, r6, packet.data).load(4, r2, r6, packet.dataEnd);
  program
    .compute('move', r1, { register: r7 })
    .compute('add', r1, ethernet.bytes + header.bytes + udpBytes)
    .jumpIf(r1, 'greater', { register: r2 }, 'pass');
  program.load(4, r1, r6, packet.vlanPresent).jumpIf(r1, 'notEqual', 0, 'pass');
  program.load(2, r1, r7, ethernet.kind).jumpIf(r1, 'notEqual', header.kind, 'pass');
  program.load(1, r1, r7, ethernet.bytes + header.protocol).jumpIf(r1, 'notEqual', udp, 'pass');
  if (family === 6) return;
  program.load(1, r1, r7, ethernet.bytes + ip4.versionAndLength).jumpIf(r1, 'notEqual', ip4.withoutOptions, 'pass');
  program
    .load(2, r1, r7, ethernet.bytes + ip4.fragment)
    .compute('and', r1, ip4.fragmentBits)
    .jumpIf(r1, 'notEqual', 0, 'pass');
};

/** Jumps where the packet is of another flow than the entry at `r9`; `linkField` says where the link is that it came in by. */
const compareFlow = (program: Assembly, header: Header, segment: number, linkField: number, otherwise: string): void => {
  program.load(4, r1, r9, entry.segment).jumpIf(r1, 'notEqual', segment, otherwise);
  program.load(4, r1, r9, entry.link).load(4, r2, r6, linkField).jumpIf(r1, 'notEqual', { register: r2 }, otherwise);
  program
    .load(4, r1, r9, entry.ports)
    .load(4, r2, r7, ethernet.bytes + header.bytes)
    .jumpIf(r1, 'notEqual', { register: r2 }, otherwise);
  eachWord(header, (inPacket, inEntry) => {
    program.load(4, r1, r9, inEntry).load(4, r2, r7, inPacket).jumpIf(r1, 'notEqual', { register: r2 }, otherwise);
  });
};

const copy = (program: Assembly, size: 2 | 4, to: Register, toOffset: number, from: Register, fromOffset: number): Assembly =>
  program.load(size, r1, from, fromOffset).store(size, to, toOffset, r1);

/** As what forwards does: fewer hops, and in IPv4 the checksum that goes with it. */
const takeHop = (program: Assembly, header: Header, family: Family): void => {
  const hops = ethernet.bytes + header.hops;
  program.load(1, r1, r7, hops).compute('add', r1, -1).store(1, r7, hops, r1);
  if (family === 6) return;
  const checksum = ethernet.bytes + ip4.checksum;
  program.load(2, r1, r7, checksum).compute('add', r1, 1).compute('move', r2, { register: r1 }).compute('shiftRight', r2, 16);
  program.compute('add', r1, { register: r2 }).store(2, r7, checksum, r1);
};

/** Spreads flows over the places; whoever finds two with one place makes them slower, and no more. `r1` is the place's element. */
const findPlace = (program: Assembly, header: Header, bits: number): void => {
  program.wideNumber(r5, oddNumber).compute('move', r1, 0);
  eachWord(header, (inPacket) => {
    program.load(4, r2, r7, inPacket).compute('xor', r1, { register: r2 }).compute('multiply', r1, { register: r5 });
  });
  program
    .load(4, r2, r7, ethernet.bytes + header.bytes)
    .compute('xor', r1, { register: r2 })
    .compute('multiply', r1, { register: r5 });
  program.load(4, r2, r6, packet.link).compute('xor', r1, { register: r2 }).compute('multiply', r1, { register: r5 });
  program.compute('shiftRight', r1, 64 - bits).compute('add', r1, noteIndex + 1);
};
const oddNumber = 0x9e37_79b9_7f4a_7c15n;

export const incoming = ({ family, cacheFd, stateFd, bits, segment }: ProgramsOptions): Buffer => {
  const header = headers[family];
  const program = new Assembly();
  program.compute('move', r6, { register: r1 });
  lookUp(program.compute('move', r1, noteIndex), cacheFd)
    .compute('move', r8, { register: r0 })
    .storeNumber(8, r8, note.place, noteIndex);
  program.load(4, r1, r6, packet.type).jumpIf(r1, 'notEqual', toThisHost, 'pass');
  findDatagram(program, header, family);
  // What has no hop left is answered with an error, the usual way.
  program.load(1, r1, r7, ethernet.bytes + header.hops).jumpIf(r1, 'atMost', 1, 'pass');
  findPlace(program, header, bits);
  lookUp(program, cacheFd).compute('move', r9, { register: r0 });

  program.mapValue(r1, stateFd).load(8, r1, r1, state.generation).load(8, r2, r9, entry.generation).jumpIf(r1, 'notEqual', { register: r2 }, 'unknown');
  compareFlow(program, header, segment, packet.link, 'unknown');
  program.load(4, r1, r9, entry.senderMac).load(4, r2, r7, ethernet.sender).jumpIf(r1, 'notEqual', { register: r2 }, 'unknown');
  program
    .load(2, r1, r9, entry.senderMac + 4)
    .load(2, r2, r7, ethernet.sender + 4)
    .jumpIf(r1, 'notEqual', { register: r2 }, 'unknown');
  program.call(helpers.coarseTime);
  program.load(8, r1, r9, entry.until).jumpIf(r0, 'greater', { register: r1 }, 'unknown');
  program.mapValue(r1, stateFd).load(8, r1, r1, state.until).jumpIf(r0, 'greater', { register: r1 }, 'pass');
  for (const at of [0, 4, 8]) copy(program, 4, r7, at, r9, entry.macs + at);
  takeHop(program, header, family);
  program.load(4, r1, r9, entry.target).compute('move', r2, 0).call(helpers.redirectToPeer).exit();

  program.label('unknown').storeNumber(8, r9, entry.until, 0);
  // Read before anything judges the packet: what the agent changes later on its way makes it of a former generation.
  program.mapValue(r1, stateFd).load(8, r1, r1, state.generation).store(8, r9, entry.generation, r1);
  copy(program, 4, r9, entry.senderMac, r7, ethernet.sender);
  copy(program, 2, r9, entry.senderMac + 4, r7, ethernet.sender + 4);
  program.storeNumber(4, r9, entry.segment, segment);
  copy(program, 4, r9, entry.link, r6, packet.link);
  copy(program, 4, r9, entry.ports, r7, ethernet.bytes + header.bytes);
  eachWord(header, (inPacket, inEntry) => void copy(program, 4, r9, inEntry, r7, inPacket));
  program.load(4, r1, r10, element).store(8, r8, note.place, r1);
  return program.label('pass').compute('move', r0, nextProgram).exit().bytes();
};

export const outgoing = ({ family, cacheFd, segment }: ProgramsOptions): Buffer => {
  const header = headers[family];
  const program = new Assembly();
  program.compute('move', r6, { register: r1 });
  lookUp(program.compute('move', r1, noteIndex), cacheFd);
  program.load(8, r1, r0, note.place).jumpIf(r1, 'equal', noteIndex, 'pass').storeNumber(8, r0, note.place, noteIndex);
  lookUp(program, cacheFd).compute('move', r9, { register: r0 });
  findDatagram(program, header, family);
  compareFlow(program, header, segment, packet.comesFrom, 'pass');
  copy(program, 4, r9, entry.target, r6, packet.link);
  for (const at of [0, 4, 8]) copy(program, 4, r9, entry.macs + at, r7, at);
  program.call(helpers.coarseTime).wideNumber(r1, BigInt(knownForNs)).compute('add', r0, { register: r1 }).store(8, r9, entry.until, r0);
  return program.label('pass').compute('move', r0, nextProgram).exit().bytes();
};
