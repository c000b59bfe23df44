/**
 * As much of a DNS message as the relay must understand to pass it on safely: the header, and where the question ends. Both
 * sides are hostile: a machine may send anything, and so may whoever answers in a server's name.
 */

const headerBytes = 12;
/** A name of 255 bytes, type and class. */
const longestQuestion = 259;
const flags = { response: 0x8000, opcode: 0x7800, recursionDesired: 0x0100, checkingDisabled: 0x0010, recursionAvailable: 0x0080 } as const;
export const responseCodes = { formatError: 1, serverFailure: 2, notImplemented: 4 } as const;

export interface Query {
  id: number;
  /** Header and question, without what follows. */
  questionEnd: number;
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
  return { id: message.readUInt16BE(0), questionEnd: end, message };
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

/** An answer that says only that there is none, and why. */
export const refusalOf = (message: Buffer, code: number): Buffer => {
  const end = message.readUInt16BE(4) === 1 ? endOfQuestion(message) : undefined;
  const answer = Buffer.alloc(end ?? headerBytes);
  message.copy(answer, 0, 0, end ?? 4);
  const head = message.readUInt16BE(2);
  answer.writeUInt16BE(flags.response | (head & (flags.opcode | flags.recursionDesired | flags.checkingDisabled)) | flags.recursionAvailable | code, 2);
  answer.writeUInt16BE(end === undefined ? 0 : 1, 4);
  answer.fill(0, 6, headerBytes);
  return answer;
};

/** Where the first question ends; undefined when it is not well formed. A question has no compressed names: nothing stands before it. */
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

const lowered = (bytes: Buffer): Buffer => Buffer.from(bytes.map((byte) => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte)));
