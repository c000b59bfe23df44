/** What a request says of who signed it: in its header `Authorization`, in any of the forms that clients send, or in its URL. Nothing of it is proved here. */
import type { ClientRequest, IncomingMessage } from 'node:http';
import httpSignature from 'http-signature';
import { isPresigned, readPresigned } from './presigned.ts';
import { Refusal } from './refusal.ts';

const clockSkewSeconds = 300;

/** Hashes of the algorithms that SSH keys sign with, for `node:crypto`; ed25519 has its own. */
export const sshHashes = {
  'rsa-sha1': 'sha1',
  'rsa-sha256': 'sha256',
  'rsa-sha384': 'sha384',
  'rsa-sha512': 'sha512',
  'ecdsa-sha256': 'sha256',
  'ecdsa-sha384': 'sha384',
  'ecdsa-sha512': 'sha512',
  'ed25519-sha512': null,
} as const satisfies Record<string, string | null>;

/** The one that secrets sign with. */
export const secretAlgorithm = 'hmac-sha256';

export type Algorithm = keyof typeof sshHashes | typeof secretAlgorithm;

export interface Signature {
  keyId: string;
  algorithm: Algorithm;
  signed: string;
  value: Buffer;
}

const unauthenticated = (): Refusal => new Refusal(401, 'InvalidCredentials', 'You must make authenticated requests to use CloudAPI');

/** The 2011 form, which old clients still send: no headers are named, and the date itself is what was signed. */
const oldest = /^Signature keyId="([^"]+)",algorithm="([^"]+)" ([A-Za-z0-9+/=]+)$/;

export const readSignature = (request: IncomingMessage): Signature => {
  if (isPresigned(request)) {
    const presigned = readPresigned(request);
    return { ...presigned, algorithm: checkedAlgorithm(presigned.algorithm) };
  }
  const { authorization, date } = request.headers;
  if (authorization === undefined || !/^signature /i.test(authorization)) throw unauthenticated();
  const old = oldest.exec(authorization);
  if (old !== null) return readOldest(old, date);
  try {
    // Its types want a request to be sent; what it reads of one is the same.
    const { params, signingString } = httpSignature.parseRequest(request as unknown as ClientRequest, { clockSkew: clockSkewSeconds });
    const algorithm = checkedAlgorithm(params.algorithm);
    return { keyId: params.keyId, algorithm, signed: signingString, value: Buffer.from(params.signature, 'base64') };
  } catch (error) {
    if (error instanceof Refusal) throw error;
    const { name, message } = error as Error;
    if (name === 'ExpiredRequestError') throw new Refusal(401, 'InvalidCredentials', `the date is more than ${clockSkewSeconds} seconds from this clock's`);
    if (name === 'InvalidHeaderError' || name === 'InvalidParamsError' || name === 'MissingHeaderError')
      throw new Refusal(400, 'InvalidHeader', `the Authorization header is not valid: ${message.slice(0, 200)}`);
    throw new Refusal(400, 'InvalidHeader', 'the Authorization header is not valid');
  }
};

const readOldest = ([, keyId = '', algorithm = '', value = '']: RegExpExecArray, date: string | undefined): Signature => {
  const skewMs = Math.abs(Date.now() - Date.parse(date ?? ''));
  if (!(skewMs <= clockSkewSeconds * 1000)) throw new Refusal(401, 'InvalidCredentials', `the date is more than ${clockSkewSeconds} seconds from this clock's`);
  return { keyId, algorithm: checkedAlgorithm(algorithm), signed: date!, value: Buffer.from(value, 'base64') };
};

const checkedAlgorithm = (text: string): Algorithm => {
  const algorithm = text.toLowerCase();
  if (algorithm !== secretAlgorithm && !Object.hasOwn(sshHashes, algorithm))
    throw new Refusal(401, 'InvalidCredentials', `${text.slice(0, 40)} is not a supported signing algorithm`);
  return algorithm as Algorithm;
};
