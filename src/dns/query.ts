/**
 * Queries as they come in. Whoever sends them is hostile: nothing here throws, whatever the bytes, and nothing is read twice. A name in a
 * question is never compressed, since nothing stands before it.
 */

const headerBytes = 12;
/** A name of 255 bytes, type and class. */
const longestQuestion = 259;
const dot = 0x2e;
const optType = 41;

export const flags = {
  response: 0x8000,
  opcode: 0x7800,
  authoritative: 0x0400,
  truncated: 0x0200,
  recursionDesired: 0x0100,
  recursionAvailable: 0x0080,
} as const;
const checkingDisabled = 0x0010;
export const responseCodes = { none: 0, formatError: 1, serverFailure: 2, noSuchName: 3, notImplemented: 4, refused: 5, badVersion: 16 } as const;
export const internetClass = 1;

export interface Query {
  id: number;
  /** The second word of the header. */
  head: number;
  /** Header and question, without what follows. */
  questionEnd: number;
  /** In small letters. Dots inside labels are escaped, so such a name equals none of ours. */
  name: string;
  type: number;
  class: number;
  /** What the sender's own EDNS says; null: it has none. */
  edns: { size: number; version: number } | null;
  message: Buffer;
}

/** The query in a packet; a response code when it is one that must be answered with an error; undefined for what deserves no answer. */
export const parseQuery = (message: Buffer): Query | { refusal: number } | undefined => {
  if (message.length < headerBytes) return undefined;
  const head = message.readUInt16BE(2);
  if ((head & flags.response) !== 0) return undefined;
  if ((head & flags.opcode) !== 0) return { refusal: responseCodes.notImplemented };
  const end = message.readUInt16BE(4) === 1 ? endOfQuestion(message) : undefined;
  if (end === undefined || message.readUInt16BE(6) !== 0) return { refusal: responseCodes.formatError };
  const edns = ednsOf(message, end);
  if (edns === undefined) return { refusal: responseCodes.formatError };
  return {
    id: message.readUInt16BE(0),
    head,
    questionEnd: end,
    name: nameAt(message),
    type: message.readUInt16BE(end - 4),
    class: message.readUInt16BE(end - 2),
    edns,
    message,
  };
};

/** The same query under another id. */
export const withId = (message: Buffer, id: number): Buffer => {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(id, 0);
  return copy;
};

/** Whether `message` answers the query that was sent under `id`: same id, same question (letter case aside), and an answer at all. */
export const isAnswer = (message: Buffer, id: number, query: Query): boolean => {
  if (message.length < headerBytes || message.readUInt16BE(0) !== id || (message.readUInt16BE(2) & flags.response) === 0) return false;
  const questions = message.readUInt16BE(4);
  // Some servers leave the question out when they refuse; an answer with records must repeat it.
  if (questions === 0) return message.readUInt16BE(6) === 0 && (message[3]! & 0x0f) !== 0;
  const end = questions === 1 ? endOfQuestion(message) : undefined;
  return end === query.questionEnd && lowered(message.subarray(headerBytes, end)).equals(lowered(query.message.subarray(headerBytes, end)));
};

/** An answer that says only that there is none, and why. `recursion`: whether whoever answers would look for one elsewhere. */
export const refusalOf = (message: Buffer, code: number, recursion: boolean): Buffer => {
  const end = message.readUInt16BE(4) === 1 ? endOfQuestion(message) : undefined;
  const answer = Buffer.alloc(end ?? headerBytes);
  message.copy(answer, 0, 0, end ?? 4);
  const kept = message.readUInt16BE(2) & (flags.opcode | flags.recursionDesired | checkingDisabled);
  answer.writeUInt16BE(flags.response | kept | (recursion ? flags.recursionAvailable : 0) | code, 2);
  answer.writeUInt16BE(end === undefined ? 0 : 1, 4);
  answer.fill(0, 6, headerBytes);
  return answer;
};

/** Where the first question ends; undefined when it is not well formed. */
const endOfQuestion = (message: Buffer): number | undefined => {
  let at = headerBytes;
  for (;;) {
    const length = message[at];
    if (length === undefined || length > 63) return undefined;
    at += 1 + length;
    if (length === 0) break;
    if (at - headerBytes > longestQuestion - 4) return undefined;
  }
  at += 4;
  return at <= message.length && at - headerBytes <= longestQuestion ? at : undefined;
};

/** Of a question that is well formed. */
const nameAt = (message: Buffer): string => {
  let name = '';
  for (let at = headerBytes, length = message[at]!; length !== 0; at += 1 + length, length = message[at]!) {
    let label = message.toString('latin1', at + 1, at + 1 + length);
    if (message.subarray(at + 1, at + 1 + length).includes(dot)) label = label.replaceAll('.', '\\.');
    name = name === '' ? label : `${name}.${label}`;
  }
  return asciiLowered(name);
};

/** Only A to Z: other letters of Latin-1 are no letters here. */
const asciiLowered = (text: string): string => text.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase());

/** The OPT record among what follows the question; undefined when that is not well formed, or has more than one. */
const ednsOf = (message: Buffer, questionEnd: number): Query['edns'] | undefined => {
  const [authority, additional] = [message.readUInt16BE(8), message.readUInt16BE(10)];
  let edns: Query['edns'] = null;
  let at: number | undefined = questionEnd;
  for (let index = 0; index < authority + additional; index++) {
    const start: number | undefined = endOfName(message, at);
    if (start === undefined || start + 10 > message.length) return undefined;
    if (message.readUInt16BE(start) === optType && index >= authority) {
      if (edns !== null || start - at !== 1) return undefined;
      edns = { size: message.readUInt16BE(start + 2), version: message[start + 5]! };
    }
    at = start + 10 + message.readUInt16BE(start + 8);
    if (at > message.length) return undefined;
  }
  return edns;
};

/** A pointer ends a name; where it points to is not looked at. */
const endOfName = (message: Buffer, from: number): number | undefined => {
  for (let at = from; ;) {
    const length = message[at];
    if (length === undefined) return undefined;
    if (length >= 0xc0) return at + 2;
    if (length > 63) return undefined;
    at += 1 + length;
    if (length === 0) return at;
  }
};

const lowered = (bytes: Buffer): Buffer => Buffer.from(bytes.map((byte) => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte)));
