/** Reads whole DNS messages: the opposite of dns/writer.ts, for tests and benchmarks. Throws for what is not well formed. */
import { typeCodes } from '../../src/dns/record.ts';
import type { Record, RecordData, RecordType } from '../../src/dns/record.ts';

export interface ReadMessage {
  id: number;
  head: number;
  code: number;
  authoritative: boolean;
  truncated: boolean;
  questions: { name: string; type: number; class: number }[];
  answer: Record[];
  authority: Record[];
  additional: Record[];
  edns: { size: number; upperCode: number; version: number } | null;
}

const typeNames = new Map<number, RecordType>((Object.keys(typeCodes) as RecordType[]).map((type) => [typeCodes[type], type]));

const readName = (message: Buffer, from: number): { name: string; end: number } => {
  const labels: string[] = [];
  let end: number | undefined;
  for (let at = from, jumps = 0; ;) {
    const length = message.readUInt8(at);
    if (length >= 0xc0) {
      if (jumps++ > 32) throw new Error('a name that never ends');
      end ??= at + 2;
      const target = message.readUInt16BE(at) & 0x3fff;
      if (target >= at) throw new Error('a pointer forward');
      at = target;
      continue;
    }
    if (length > 63) throw new Error('not a label');
    at += 1 + length;
    if (length === 0) return { name: labels.join('.'), end: end ?? at };
    labels.push(message.toString('latin1', at - length, at));
  }
};

const readData = (message: Buffer, type: RecordType, at: number, end: number): RecordData => {
  switch (type) {
    case 'A':
      return { type, address: [...message.subarray(at, end)].join('.') };
    case 'AAAA': {
      const words = Array.from({ length: 8 }, (_, index) => message.readUInt16BE(at + 2 * index).toString(16));
      return { type, address: words.join(':') };
    }
    case 'NS':
    case 'PTR':
      return { type, target: readName(message, at).name };
    case 'TXT': {
      const parts: Buffer[] = [];
      for (let from = at; from < end; from += 1 + message[from]!) parts.push(message.subarray(from + 1, from + 1 + message[from]!));
      return { type, text: Buffer.concat(parts).toString() };
    }
    case 'SRV': {
      const [priority, weight, port] = [0, 2, 4].map((offset) => message.readUInt16BE(at + offset)) as [number, number, number];
      return { type, priority, weight, port, target: readName(message, at + 6).name };
    }
    case 'SOA': {
      const primary = readName(message, at);
      const mailbox = readName(message, primary.end);
      const [serial, refresh, retry, expire, minimum] = [0, 4, 8, 12, 16].map((offset) => message.readUInt32BE(mailbox.end + offset)) as [
        number,
        number,
        number,
        number,
        number,
      ];
      return { type, primary: primary.name, mailbox: mailbox.name, serial, refresh, retry, expire, minimum };
    }
  }
};

export const readMessage = (message: Buffer): ReadMessage => {
  const head = message.readUInt16BE(2);
  const read: ReadMessage = {
    id: message.readUInt16BE(0),
    head,
    code: head & 0x0f,
    authoritative: (head & 0x0400) !== 0,
    truncated: (head & 0x0200) !== 0,
    questions: [],
    answer: [],
    authority: [],
    additional: [],
    edns: null,
  };
  let at = 12;
  for (let count = message.readUInt16BE(4); count > 0; count--) {
    const { name, end } = readName(message, at);
    read.questions.push({ name, type: message.readUInt16BE(end), class: message.readUInt16BE(end + 2) });
    at = end + 4;
  }
  for (const [section, offset] of [
    ['answer', 6],
    ['authority', 8],
    ['additional', 10],
  ] as const) {
    for (let count = message.readUInt16BE(offset); count > 0; count--) {
      const { name, end } = readName(message, at);
      const code = message.readUInt16BE(end);
      const [dataAt, dataEnd] = [end + 10, end + 10 + message.readUInt16BE(end + 8)];
      if (dataEnd > message.length) throw new Error('cut short');
      const type = typeNames.get(code);
      if (code === 41) read.edns = { size: message.readUInt16BE(end + 2), upperCode: message[end + 4]!, version: message[end + 5]! };
      else if (type === undefined) throw new Error(`a record of type ${code}`);
      else read[section].push({ name, ttl: message.readUInt32BE(end + 4), data: readData(message, type, dataAt, dataEnd) });
      at = dataEnd;
    }
  }
  if (at !== message.length) throw new Error(`${message.length - at} bytes too many`);
  return read;
};

export interface AskedFor {
  type?: number;
  id?: number;
  head?: number;
  class?: number;
  /** Size told by EDNS; absent: none. */
  edns?: number;
  version?: number;
}

export const questionFor = (name: string, { type = 1, id = 7, head = 0x0100, class: of = 1, edns, version = 0 }: AskedFor = {}): Buffer => {
  const header = Buffer.alloc(12);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(head, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(edns === undefined ? 0 : 1, 10);
  const labels = name === '' ? [] : name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')]));
  const tail = Buffer.alloc(edns === undefined ? 5 : 16);
  tail.writeUInt16BE(type, 1);
  tail.writeUInt16BE(of, 3);
  if (edns !== undefined) {
    tail.writeUInt16BE(41, 6);
    tail.writeUInt16BE(edns, 8);
    tail[11] = version;
  }
  return Buffer.concat([header, ...labels, tail]);
};
