/**
 * Who signed a request: HTTP signatures with an account's SSH key. There is no session and no login; every request proves itself. Whether an
 * account, a key or the signature is at fault is not told apart, neither by words nor by how long it takes.
 */
import { createPublicKey, generateKeyPairSync, randomBytes, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { ClientRequest, IncomingMessage } from 'node:http';
import httpSignature from 'http-signature';
import sshpk from 'sshpk';
import type { User } from '../../model/access.ts';
import type { Account, AccountKey } from '../../model/account.ts';
import { accountFind } from '../../store/account.ts';
import { systemContext as system } from '../../store/context.ts';
import type { RequestContext } from '../../store/context.ts';
import { keyFind } from '../../store/key.ts';
import { userFind, userKeyFind } from '../../store/user.ts';
import type { Db } from '../../store/store.ts';
import { Refusal } from './refusal.ts';

export interface Caller {
  account: Account;
  /** Undefined for whoever has the account's own key. */
  user: User | undefined;
  context: RequestContext;
}

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
  readonly #db: Db;
  readonly #keys = new Map<string, KeyObject>();
  readonly #decoys = new Map<string, KeyObject>();

  constructor(db: Db) {
    this.#db = db;
  }

  async callerOf(request: IncomingMessage): Promise<Caller> {
    const signature = readSignature(request);
    const match = /^\/([^/]{1,64})(?:\/users\/([^/]{1,64}))?\/keys\/(.{1,128})$/.exec(signature.keyId);
    if (match === null) throw new Refusal(401, 'InvalidCredentials', 'the keyId is not /ACCOUNT/keys/FINGERPRINT or /ACCOUNT/users/USER/keys/FINGERPRINT');
    const { account, user, key } = await this.#find(plain(match[1]!), match[2] === undefined ? undefined : plain(match[2]), plain(match[3]!));
    const holds = this.#verify(signature, key);
    if (account === undefined || key === undefined || !holds) throw invalidCredentials();
    const address = request.socket.remoteAddress ?? '';
    return {
      account,
      user,
      context: {
        account: account.id,
        role: 'account',
        actor: `${account.name}${user === undefined ? '' : `/${user.login}`} with key ${key.fingerprint} from ${address}`,
        caller: { type: 'signature', keyId: `/${account.name}${user === undefined ? '' : `/users/${user.login}`}/keys/${key.fingerprint}`, address },
      },
    };
  }

  async #find(login: string, userLogin: string | undefined, keyName: string) {
    const account = await accountFind(system, this.#db, login);
    if (account === undefined) return { account, user: undefined, key: undefined };
    if (userLogin === undefined) return { account, user: undefined, key: await keyFind(system, this.#db, account.id, keyName) };
    const within: RequestContext = { ...system, account: account.id };
    const user = await userFind(within, this.#db, userLogin);
    return { account, user, key: user === undefined ? undefined : await userKeyFind(within, this.#db, user, keyName) };
  }

  #verify({ algorithm, signed, value }: Signature, key: AccountKey | undefined): boolean {
    const [kind = ''] = algorithm.split('-');
    const publicKey = key === undefined ? this.#decoy(kind) : this.#publicKey(key);
    if (kindOf(publicKey) !== kind) return false;
    try {
      return verify(hashes[algorithm], Buffer.from(signed), publicKey, value);
    } catch {
      return false;
    }
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
