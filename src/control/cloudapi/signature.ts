/**
 * Who signed a request: HTTP signatures with an account's SSH key. There is no session and no login; every request proves itself. Whether an
 * account, a key or the signature is at fault is not told apart, neither by words nor by how long it takes.
 */
import { createPublicKey, generateKeyPairSync, randomBytes, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { ClientRequest, IncomingMessage } from 'node:http';
import httpSignature from 'http-signature';
import sshpk from 'sshpk';
import type { AccountKey } from '../../model/account.ts';
import type { Credential, Named } from '../../store/credential.ts';
import type { AccessBook } from './access/book.ts';
import { provedCaller } from './caller.ts';
import type { Caller } from './caller.ts';
import { isPresigned, readPresigned } from './presigned.ts';
import { Refusal } from './refusal.ts';

const clockSkewSeconds = 300;
const mostKeys = 10_000;

/** Hashes by algorithm name, for `node:crypto`; ed25519 has its own. */
const hashes: Readonly<Record<string, string | null>> = {
  'rsa-sha1': 'sha1',
  'rsa-sha256': 'sha256',
  'rsa-sha384': 'sha384',
  'rsa-sha512': 'sha512',
  'ecdsa-sha256': 'sha256',
  'ecdsa-sha384': 'sha384',
  'ecdsa-sha512': 'sha512',
  'ed25519-sha512': null,
};

interface Signature {
  keyId: string;
  algorithm: string;
  signed: string;
  value: Buffer;
}

const unauthenticated = (): Refusal => new Refusal(401, 'InvalidCredentials', 'You must make authenticated requests to use CloudAPI');
const invalidCredentials = (): Refusal => new Refusal(401, 'InvalidCredentials', 'The credentials provided are invalid');

export class Signatures {
  readonly #book: AccessBook;
  readonly #keys = new Map<string, KeyObject>();
  readonly #decoys = new Map<string, KeyObject>();

  constructor(book: AccessBook) {
    this.#book = book;
  }

  async callerOf(request: IncomingMessage): Promise<Caller> {
    const signature = readSignature(request);
    const match = /^\/([^/]{1,64})(?:\/users\/([^/]{1,64}))?\/keys\/(.{1,128})$/.exec(signature.keyId);
    if (match === null) throw new Refusal(401, 'InvalidCredentials', 'the keyId is not /ACCOUNT/keys/FINGERPRINT or /ACCOUNT/users/USER/keys/FINGERPRINT');
    const named = { account: plain(match[1]!), user: match[2] === undefined ? undefined : plain(match[2]), key: plain(match[3]!) };
    const { account, user, key } = await this.#prove(signature, named);
    const keyId = `/${account.name}${user === undefined ? '' : `/users/${user.login}`}/keys/${key.fingerprint}`;
    const caller = provedCaller(request, { account, user }, { type: 'signature', keyId, words: `key ${key.fingerprint}` });
    return { ...caller, context: { ...caller.context, key: key.fingerprint } };
  }

  /** Whoever fails has been compared with some key, the store was asked once, and then with some key again: whatever was wrong. */
  async #prove(signature: Signature, named: Named): Promise<Credential> {
    const known = this.#book.knownCredential(signature.keyId);
    if ((await this.#verify(signature, known?.key)) && known !== undefined) return known;
    const { found, proved } = await this.#book.findCredential(signature.keyId, named);
    if (!(await this.#verify(signature, found?.key)) || found === undefined) throw invalidCredentials();
    proved();
    return found;
  }

  async #verify({ algorithm, signed, value }: Signature, key: AccountKey | undefined): Promise<boolean> {
    const [kind = ''] = algorithm.split('-');
    const publicKey = key === undefined ? undefined : this.#publicKey(key);
    const fits = publicKey !== undefined && kindOf(publicKey) === kind;
    const holds = await verified(hashes[algorithm], Buffer.from(signed), fits ? publicKey : this.#decoy(kind), value);
    return fits && holds;
  }

  #publicKey({ key }: AccountKey): KeyObject {
    const known = this.#keys.get(key);
    if (known !== undefined) return known;
    const made = createPublicKey(sshpk.parseKey(key, 'ssh').toString('pkcs8'));
    if (this.#keys.size >= mostKeys) this.#keys.clear();
    this.#keys.set(key, made);
    return made;
  }

  /** A key that nobody holds, so that a stranger waits as long as one with a wrong key. */
  #decoy(kind: string): KeyObject {
    const known = this.#decoys.get(kind);
    if (known !== undefined) return known;
    const made = decoyOf(kind);
    this.#decoys.set(kind, made);
    return made;
  }
}

/** On the pool of threads: an ed25519 signature takes 0.1 ms, and the one thread that serves everybody has other things to do. */
const verified = (hash: string | null | undefined, signed: Buffer, key: KeyObject, value: Buffer): Promise<boolean> =>
  new Promise((resolve) => {
    try {
      verify(hash, signed, key, value, (error, holds) => resolve(error === null && holds));
    } catch {
      resolve(false);
    }
  });

const kindOf = (key: KeyObject): string => (key.asymmetricKeyType === 'ec' ? 'ecdsa' : (key.asymmetricKeyType ?? ''));

const plain = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

const decoyOf = (kind: string): KeyObject => {
  if (kind === 'rsa') {
    const modulus = randomBytes(256);
    modulus[0]! |= 0x80;
    modulus[255]! |= 1;
    return createPublicKey({ format: 'jwk', key: { kty: 'RSA', n: modulus.toString('base64url'), e: 'AQAB' } });
  }
  return kind === 'ed25519' ? generateKeyPairSync('ed25519').publicKey : generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).publicKey;
};

/** The 2011 form, which old clients still send: no headers are named, and the date itself is what was signed. */
const oldest = /^Signature keyId="([^"]+)",algorithm="([^"]+)" ([A-Za-z0-9+/=]+)$/;

const readSignature = (request: IncomingMessage): Signature => {
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

const checkedAlgorithm = (text: string): string => {
  const algorithm = text.toLowerCase();
  if (!Object.hasOwn(hashes, algorithm)) throw new Refusal(401, 'InvalidCredentials', `${text.slice(0, 40)} is not a supported signing algorithm`);
  return algorithm;
};
