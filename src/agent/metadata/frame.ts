/**
 * The metadata protocol's lines, without I/O. Version 1 is `GET key`, answered by a word and, for data, lines to a single dot. In version 2 each line is
 * `V2 LENGTH CRC32 REQUEST-ID WORD [BASE64]`, where length and checksum are of what follows the checksum.
 */
import { crc32 } from 'node:zlib';

export type Question =
  | { kind: 'negotiate' }
  | { kind: 'get'; key: string }
  | { kind: 'keys' }
  | { kind: 'put'; key: string; value: string }
  | { kind: 'delete'; key: string }
  | { kind: 'unknown'; why: string };

export type Answer = { kind: 'success'; data?: string } | { kind: 'not found' } | { kind: 'failure'; why: string };

export interface Asked {
  question: Question;
  /** Null: version 1. */
  requestId: string | null;
}

const frame = /^V2 (\d{1,8}) ([0-9a-fA-F]{8}) (([0-9a-zA-Z]{1,64}) ([A-Z]{1,16})(?: ([A-Za-z0-9+/=]*))?)$/;

/** Null: not a line of the protocol; the answer to that is `invalid command`. */
export const parseLine = (line: string): Asked | null => {
  if (line === 'NEGOTIATE V2') return { question: { kind: 'negotiate' }, requestId: null };
  if (line.startsWith('V2 ')) return parseFrame(line);
  if (line.startsWith('GET ') && line.length > 4) return { question: { kind: 'get', key: line.slice(4) }, requestId: null };
  if (line === 'KEYS') return { question: { kind: 'keys' }, requestId: null };
  return null;
};

const parseFrame = (line: string): Asked | null => {
  const match = frame.exec(line);
  if (match === null) return null;
  const [, length, checksum, body = '', requestId = '', word = '', payload = ''] = match;
  if (Number(length) !== body.length || Number.parseInt(checksum!, 16) !== crc32(body)) return null;
  return { question: questionOf(word, decoded(payload)), requestId };
};

const questionOf = (word: string, payload: string): Question => {
  if (word === 'GET') return { kind: 'get', key: payload };
  if (word === 'KEYS') return { kind: 'keys' };
  if (word === 'DELETE') return { kind: 'delete', key: payload };
  if (word !== 'PUT') return { kind: 'unknown', why: `there is no ${word}` };
  const parts = payload.split(' ');
  if (parts.length !== 2) return { kind: 'unknown', why: 'PUT wants a key and a value' };
  return { kind: 'put', key: decoded(parts[0]!), value: decoded(parts[1]!) };
};

const decoded = (base64: string): string => Buffer.from(base64, 'base64').toString('utf8');

export const invalidCommand = 'invalid command\n';
export const negotiated = 'V2_OK\n';

export const formatAnswer = (answer: Answer, requestId: string | null): string => {
  if (requestId === null) return formatFirst(answer);
  const payload = answer.kind === 'success' ? (answer.data ?? '') : answer.kind === 'failure' ? answer.why : '';
  const body = `${requestId} ${words[answer.kind]}${payload === '' ? '' : ` ${Buffer.from(payload).toString('base64')}`}`;
  return `V2 ${body.length} ${crc32(body).toString(16).padStart(8, '0')} ${body}\n`;
};

const words = { success: 'SUCCESS', 'not found': 'NOTFOUND', failure: 'FAILURE' } as const;

const formatFirst = (answer: Answer): string => {
  if (answer.kind === 'not found') return 'NOTFOUND\n';
  if (answer.kind === 'failure') return `FAILURE ${answer.why.replaceAll('\n', ' ')}\n`;
  const lines = (answer.data ?? '').split('\n').map((line) => (line.startsWith('.') ? `.${line}` : line));
  return `SUCCESS\n${lines.join('\n')}\n.\n`;
};
