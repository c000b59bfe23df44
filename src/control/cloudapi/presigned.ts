/**
 * URLs that carry their own signature: made by whoever holds a key, and used, until they expire, by whoever was given them, such as a browser
 * that opens a WebSocket.
 */
import type { IncomingMessage } from 'node:http';
import { Refusal } from './refusal.ts';

export const presignedNames = ['algorithm', 'expires', 'keyId', 'method', 'signature'] as const;
const required = ['algorithm', 'expires', 'keyId', 'signature'] as const;

/** Nobody remembers for longer what a URL was given away for. */
const longestSeconds = 7 * 24 * 3600;

export interface Presigned {
  keyId: string;
  algorithm: string;
  signed: string;
  value: Buffer;
}

const splitOf = ({ url = '' }: IncomingMessage): [path: string, query: string] => {
  const at = url.indexOf('?');
  return at < 0 ? [url, ''] : [url.slice(0, at), url.slice(at + 1)];
};

/** Whether a request means to be one: then all that it takes must be there. */
export const isPresigned = (request: IncomingMessage): boolean => {
  const { authorization, 'x-auth-token': token } = request.headers;
  if (authorization !== undefined || token !== undefined) return false;
  const [, query] = splitOf(request);
  if (query === '') return false;
  const names = new URLSearchParams(query);
  return required.some((name) => names.has(name));
};

export const readPresigned = (request: IncomingMessage, now = Date.now()): Presigned => {
  const [path, text] = splitOf(request);
  const query = new URLSearchParams(text);
  const names = [...query.keys()];
  if (new Set(names).size < names.length) throw invalidHeader('a parameter stands in it twice');
  const missing = required.filter((name) => (query.get(name) ?? '') === '');
  if (missing.length > 0) throw invalidHeader(`it lacks ${missing.join(', ')}`);
  const method = request.method ?? '';
  const methods = (query.get('method') ?? method).split(/\s*,\s*/).toSorted();
  if (!methods.includes(method)) throw unproved(`the URL is not signed for ${method}`);
  demandInTime(query.get('expires')!, now);
  return {
    keyId: query.get('keyId')!,
    algorithm: query.get('algorithm')!,
    signed: [methods.join(), request.headers.host ?? '', path, canonicalQuery(query)].join('\n'),
    value: Buffer.from(query.get('signature')!, 'base64'),
  };
};

const demandInTime = (expires: string, now: number): void => {
  if (!/^\d{1,12}$/.test(expires)) throw invalidHeader('expires is not a time in seconds');
  const left = Number(expires) - Math.floor(now / 1000);
  if (left < 0) throw unproved('the URL has expired');
  if (left > longestSeconds) throw unproved(`the URL is signed for more than ${longestSeconds / 86_400} days`);
};

/** All parameters but the signature, in alphabetical order as people sort, written by RFC 3986. */
const canonicalQuery = (query: URLSearchParams): string =>
  [...query]
    .filter(([name]) => name.toLowerCase() !== 'signature')
    .toSorted(([one], [other]) => one.localeCompare(other, 'en'))
    .map(([name, value]) => `${encoded(name)}=${encoded(value)}`)
    .join('&');

const encoded = (text: string): string =>
  encodeURIComponent(text).replaceAll(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);

const unproved = (message: string): Refusal => new Refusal(401, 'InvalidCredentials', message);

const invalidHeader = (what: string): Refusal => new Refusal(400, 'InvalidHeader', `the signed URL is not valid: ${what}`);
