/**
 * Whether a signature is that of a key. Each kind of key has algorithms of its own, and is asked for by its kind: what an SSH key signs is never
 * compared with a secret, nor what a secret signs with an SSH key. Where there is no key, or none that fits, the same work is done with one that nobody holds.
 */
import { createHmac, createPublicKey, generateKeyPairSync, randomBytes, timingSafeEqual, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import sshpk from 'sshpk';
import type { AccountKey } from '../../model/account.ts';
import type { SigningKey } from '../../store/credential.ts';
import { secretAlgorithm, sshHashes } from './signed-request.ts';
import type { Signature } from './signed-request.ts';

const mostKeys = 10_000;

export class Verifier {
  readonly #keys = new Map<string, KeyObject>();
  readonly #decoys = new Map<string, KeyObject>();
  readonly #decoySecret = randomBytes(32).toString('base64url');

  async holds(signature: Signature, key: SigningKey | undefined): Promise<boolean> {
    if (signature.algorithm === secretAlgorithm) return this.#holdsBySecret(signature, key?.kind === 'access' ? key.secret : undefined);
    return this.#holdsBySshKey(signature, sshHashes[signature.algorithm], key?.kind === 'ssh' ? key.key : undefined);
  }

  #holdsBySecret({ signed, value }: Signature, secret: string | undefined): boolean {
    const made = createHmac('sha256', secret ?? this.#decoySecret)
      .update(signed)
      .digest();
    const holds = value.length === made.length && timingSafeEqual(made, value);
    return secret !== undefined && holds;
  }

  async #holdsBySshKey({ algorithm, signed, value }: Signature, hash: string | null, key: AccountKey | undefined): Promise<boolean> {
    const [kind = ''] = algorithm.split('-');
    const publicKey = key === undefined ? undefined : this.#publicKey(key);
    const fits = publicKey !== undefined && kindOf(publicKey) === kind;
    const holds = await verified(hash, Buffer.from(signed), fits ? publicKey : this.#decoy(kind), value);
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
const verified = (hash: string | null, signed: Buffer, key: KeyObject, value: Buffer): Promise<boolean> =>
  new Promise((resolve) => {
    try {
      verify(hash, signed, key, value, (error, holds) => resolve(error === null && holds));
    } catch {
      resolve(false);
    }
  });

const kindOf = (key: KeyObject): string => (key.asymmetricKeyType === 'ec' ? 'ecdsa' : (key.asymmetricKeyType ?? ''));

const decoyOf = (kind: string): KeyObject => {
  if (kind === 'rsa') {
    const modulus = randomBytes(256);
    modulus[0]! |= 0x80;
    modulus[255]! |= 1;
    return createPublicKey({ format: 'jwk', key: { kty: 'RSA', n: modulus.toString('base64url'), e: 'AQAB' } });
  }
  return kind === 'ed25519' ? generateKeyPairSync('ed25519').publicKey : generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).publicKey;
};
