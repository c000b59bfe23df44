/**
 * The queue that holds guarantees on an uplink, as netlink messages: a hierarchical token bucket (HTB) with the line's capacity at its root and
 * one class for each sender below. All classes are leaves of the root: HTB lends by turns of leaves, wherever they are, so a class between them
 * would have no share of its own. As values: nothing here sends anything.
 */
import { attribute, nested, netlinkFlags, parseAttributes, text, u32 } from '../../sys/netlink.ts';
import type { NetlinkMessage, NetlinkRequest } from '../../sys/netlink.ts';
import { atRoot, queueAttributes, queueHeader, queueHeaderBytes, queueTypes } from './traffic-control.ts';

const types = { ...queueTypes, newClass: 40, deleteClass: 41, getClass: 42 } as const;
const htb = { parameters: 1, init: 2, rate64: 6, ceil64: 7 } as const;
const kind = 'htb';
const ethernet = 1;
const largest32 = 0xffff_ffff;

/** The upper half of a queue's number, which says whose it is: this and the instance's number. */
const familyMajor = 0xce00;
const familySize = 0x100;
export const handleOf = (instanceNumber: number): number => (familyMajor + instanceNumber) * 0x1_0000;
/** Null for a queue that is none of ours. */
export const instanceNumberOf = ({ kind: found, handle }: RootQueue): number | null => {
  const number = handle / 0x1_0000 - familyMajor;
  return found === kind && Number.isInteger(number) && number >= 0 && number < familySize ? number : null;
};
/** As nftables writes it. */
export const classText = (handle: number, minor: number): string => `${(handle / 0x1_0000).toString(16)}:${minor.toString(16)}`;

/** Lower halves of classes: what all have together, and those that are in no class of their own. What is between is for machines. */
export const rootMinor = 1;
export const othersMinor = 0xffff;

/** What a class has, in bytes a second; from it follows all else of it. */
export interface ClassRates {
  rate: number;
  ceil: number;
  /** What it may send when its turn to borrow comes, in bytes. */
  turn: number;
}

const bytesPerMbit = 125_000;
/**
 * Borrowers have turns, each in proportion to its guarantee, but none shorter than the least turn. All together take so long at most when all is
 * guaranteed; on a fast line less: a hundredth of it has the least turn there.
 */
const mostTurnsSeconds = 0.1;
const leastTurnPart = 0.01;
/** Above the largest packet that the kernel hands over in one piece: with less than that, a turn would be a packet, whatever its size. */
const leastTurn = 80 * 1024;
/** What may leave at once, by a class that did not use its rate. */
const burstSeconds = 0.005;
/** What waits in a class; beyond it packets are dropped, and the sender slows down. */
const leastQueue = 256 * 1024;
const queueSeconds = { ofRate: 0.05, ofCeil: 0.002 } as const;
/** Machines without a guarantee have this part of the capacity if all there can be are one another's neighbours: what they send, they borrow. */
const unguaranteedPart = 0.01;

const turnOf = (rate: number, ceil: number): number => {
  const turnsSeconds = Math.min(mostTurnsSeconds, leastTurn / (ceil * leastTurnPart));
  return Math.max(leastTurn, Math.round(rate * turnsSeconds));
};
export const rootRates = (capacityMbps: number): ClassRates => {
  const all = capacityMbps * bytesPerMbit;
  return { rate: all, ceil: all, turn: leastTurn };
};
export const machineRates = (guaranteeMbps: number, capacityMbps: number): ClassRates => {
  const ceil = capacityMbps * bytesPerMbit;
  const least = Math.max(1, Math.floor((ceil * unguaranteedPart) / othersMinor));
  const rate = Math.min(ceil, Math.max(least, Math.floor(guaranteeMbps * bytesPerMbit)));
  return { rate, ceil, turn: turnOf(rate, ceil) };
};
/**
 * What such a class has sent of its own it may owe for up to a minute, and would not have a higher rate before that is over: for more it has to be
 * made anew.
 */
export const mayOwe = ({ rate }: ClassRates): boolean => rate < bytesPerMbit;
/** Half of the reserve is theirs; the other half is nobody's, so that there is always something to borrow. They borrow as if all were theirs. */
export const othersRates = (reserveMbps: number, capacityMbps: number): ClassRates => {
  const ceil = capacityMbps * bytesPerMbit;
  return { rate: Math.floor((reserveMbps * bytesPerMbit) / 2), ceil, turn: turnOf(ceil, ceil) };
};

const request = (type: number, flags: number, index: number, handle: number, parent: number, ...rest: Uint8Array[]): NetlinkRequest => ({
  type,
  flags,
  body: Buffer.concat([queueHeader(index, handle, parent), ...rest]),
});

const create = netlinkFlags.create | netlinkFlags.replace;
const ofKind = (name: string): Buffer => attribute(queueAttributes.kind, text(name));

/** In place of the device's default queue. What is in no class goes to `othersMinor`. */
export const makeRoot = (index: number, handle: number): NetlinkRequest => {
  const init = Buffer.alloc(20); // struct tc_htb_glob: version, rate2quantum (for classes without a turn, of which there are none), defcls
  init.writeUInt32LE(3, 0);
  init.writeUInt32LE(10, 4);
  init.writeUInt32LE(othersMinor, 8);
  return request(types.newQueue, create, index, handle, atRoot, ofKind(kind), nested(queueAttributes.options, attribute(htb.init, init)));
};

/** The device's default one comes back. */
export const removeRoot = (index: number): NetlinkRequest => request(types.deleteQueue, 0, index, 0, atRoot);

/** The kernel counts a burst in ticks of 64 ns, at the rate. */
const ticks = (rate: number): number => Math.min(largest32, Math.ceil((Math.max(leastTurn, rate * burstSeconds) / rate) * (1e9 / 64)));

const parameters = ({ rate, ceil, turn }: ClassRates): Buffer => {
  const data = Buffer.alloc(44); // struct tc_htb_opt: rate, ceil, buffer, cbuffer, quantum, level, prio
  for (const [at, value] of [
    [0, rate],
    [12, ceil],
  ] as const) {
    data[at + 1] = ethernet;
    data.writeUInt32LE(Math.min(value, largest32), at + 8);
  }
  data.writeUInt32LE(ticks(rate), 24);
  data.writeUInt32LE(ticks(ceil), 28);
  data.writeUInt32LE(turn, 32);
  return data;
};

const beyond32 = (type: number, value: number): Buffer[] => {
  if (value < largest32) return [];
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return [attribute(type, bytes)];
};

/** Makes the class, or changes it where it is. */
export const setClass = (index: number, handle: number, minor: number, rates: ClassRates): NetlinkRequest[] => {
  const parent = minor === rootMinor ? handle : handle + rootMinor;
  const options = [attribute(htb.parameters, parameters(rates)), ...beyond32(htb.rate64, rates.rate), ...beyond32(htb.ceil64, rates.ceil)];
  const made = request(types.newClass, create, index, handle + minor, parent, ofKind(kind), nested(queueAttributes.options, ...options));
  return [made, ...setQueue(index, handle, minor, rates)];
};

/**
 * The number of a class's queue, which is ours to choose since the kernel has but 32,768 to give: the class's own. The number of the others' is
 * taken where packets come in, so theirs is the root class's, which has no queue. A machine whose number is the root queue's keeps the queue
 * that the kernel makes.
 */
const queueHandle = (handle: number, minor: number): number | null => {
  if (minor === rootMinor || minor * 0x1_0000 === handle) return null;
  return (minor === othersMinor ? rootMinor : minor) * 0x1_0000;
};

/** Counted in bytes: by default it would be a thousand packets, of which each may be as large as forty. */
const setQueue = (index: number, handle: number, minor: number, { rate, ceil }: ClassRates): NetlinkRequest[] => {
  const number = queueHandle(handle, minor);
  if (number === null) return [];
  const bytes = Math.round(Math.max(leastQueue, rate * queueSeconds.ofRate, ceil * queueSeconds.ofCeil));
  const limit = attribute(queueAttributes.options, u32(Math.min(bytes, largest32)));
  return [request(types.newQueue, create, index, number, handle + minor, ofKind('bfifo'), limit)];
};

/** Fails harmlessly with ENOENT where there is none. */
export const deleteClass = (index: number, handle: number, minor: number): NetlinkRequest => request(types.deleteClass, 0, index, handle + minor, 0);

export interface RootQueue {
  index: number;
  kind: string;
  /** 0: the device's default. */
  handle: number;
}

/** Answered by nothing, or an error, where the device has none to speak of. */
export const getRoot = (index: number): NetlinkRequest => request(types.getQueue, netlinkFlags.echo, index, 0, atRoot);
/** Of all devices, with what is below them. */
export const listQueues = (): NetlinkRequest => request(types.getQueue, 0, 0, 0, 0);
export const listClasses = (index: number): NetlinkRequest => request(types.getClass, 0, index, 0, 0);

const kindOf = (body: Buffer): string =>
  parseAttributes(body.subarray(queueHeaderBytes)).get(queueAttributes.kind)?.toString('latin1').replace(/\0.*$/s, '') ?? '';

/** Null for a queue that is below another. */
export const parseRoot = ({ body }: NetlinkMessage): RootQueue | null =>
  body.readUInt32LE(12) === atRoot ? { index: body.readInt32LE(4), handle: body.readUInt32LE(8), kind: kindOf(body) } : null;

export interface FoundClass extends ClassRates {
  minor: number;
  /** It has the queue that belongs to it. */
  isWhole: boolean;
}

/** Null for one of another queue. */
export const parseClass = ({ body }: NetlinkMessage, handle: number): FoundClass | null => {
  const number = body.readUInt32LE(8);
  if (number - (number % 0x1_0000) !== handle || kindOf(body) !== kind) return null;
  const options = parseAttributes(parseAttributes(body.subarray(queueHeaderBytes)).get(queueAttributes.options) ?? Buffer.alloc(0));
  const found = options.get(htb.parameters);
  if (found === undefined || found.length < 44) return null;
  const wide = (type: number, narrow: number): number => Number(options.get(type)?.readBigUInt64LE(0) ?? narrow);
  const minor = number % 0x1_0000;
  return {
    minor,
    rate: wide(htb.rate64, found.readUInt32LE(8)),
    ceil: wide(htb.ceil64, found.readUInt32LE(20)),
    turn: found.readUInt32LE(32),
    isWhole: body.readUInt32LE(16) === (queueHandle(handle, minor) ?? 0),
  };
};
