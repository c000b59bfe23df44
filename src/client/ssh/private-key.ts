/** Private keys in files: OpenSSH's own format, which Node does not read, and PEM, which it does. */
import { createPrivateKey, createPublicKey, sign } from 'node:crypto';
import type { KeyObject, webcrypto } from 'node:crypto';
import { CenoteError } from '../../base/errors.ts';
import { demandKind } from './public-key.ts';
import type { PublicKey } from './public-key.ts';
import { WireReader, wireInteger, wireString } from './wire.ts';

type JsonWebKey = webcrypto.JsonWebKey;

export interface PrivateKey {
  /** Undefined where the file is locked and does not say. */
  publicKey: PublicKey | undefined;
  /** Undefined where the file is locked with a passphrase. */
  sign: ((data: Buffer) => Buffer) | undefined;
}

export const readPrivateKey = (text: string, path: string): PrivateKey => {
  if (/^(ssh-|ecdsa-)/.test(text)) throw unreadable(path, 'is a public key', `give the private one: ${path.replace(/\.pub$/, '')}`);
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) throw unreadable(path, 'is no private key in OpenSSH or PEM format');
  const openssh = /-----BEGIN OPENSSH PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END/.exec(text);
  try {
    if (openssh !== null) return readOpenssh(Buffer.from(openssh[1]!, 'base64'), path);
    if (/ENCRYPTED/.test(text)) return { publicKey: undefined, sign: undefined };
    return withKey(createPrivateKey(text), path);
  } catch (cause) {
    throw cause instanceof CenoteError ? cause : unreadable(path, 'is no private key that can be read', undefined, cause);
  }
};

const unreadable = (path: string, what: string, advice?: string, cause?: unknown): CenoteError =>
  new CenoteError('invalid_argument', `${path} ${what}`, { advice, cause });

const withKey = (key: KeyObject, path: string): PrivateKey => {
  const publicKey = demandKind(blobOf(createPublicKey(key).export({ format: 'jwk' })), path);
  const hash = publicKey.algorithm === 'ed25519-sha512' ? null : publicKey.algorithm.split('-')[1]!;
  return { publicKey, sign: (data) => sign(hash, data, key) };
};

const bytesOf = (text: string | undefined): Buffer => Buffer.from(text ?? '', 'base64url');

const curves: Readonly<Record<string, { jwk: string; size: number }>> = {
  nistp256: { jwk: 'P-256', size: 32 },
  nistp384: { jwk: 'P-384', size: 48 },
  nistp521: { jwk: 'P-521', size: 66 },
};

const blobOf = ({ kty, crv, n, e, x, y }: JsonWebKey): Buffer => {
  if (kty === 'RSA') return Buffer.concat([wireString('ssh-rsa'), wireInteger(bytesOf(e)), wireInteger(bytesOf(n))]);
  if (kty === 'OKP') return Buffer.concat([wireString(`ssh-${String(crv).toLowerCase()}`), wireString(bytesOf(x))]);
  const curve = Object.entries(curves).find(([, { jwk }]) => jwk === crv)?.[0] ?? String(crv);
  return Buffer.concat([wireString(`ecdsa-sha2-${curve}`), wireString(curve), wireString(Buffer.concat([Buffer.of(4), bytesOf(x), bytesOf(y)]))]);
};

const magic = 'openssh-key-v1\0';

/** PROTOCOL.key of OpenSSH: the public key is in the clear, the private one after two equal numbers that show that it was unlocked. */
const readOpenssh = (bytes: Buffer, path: string): PrivateKey => {
  const file = new WireReader(bytes);
  if (file.take(magic.length).toString('latin1') !== magic) throw unreadable(path, 'is no private key in OpenSSH format');
  const cipher = file.text();
  file.string();
  file.string();
  if (file.number() !== 1) throw unreadable(path, 'holds several keys');
  const publicKey = demandKind(file.string(), path);
  if (cipher !== 'none') return { publicKey, sign: undefined };
  const inner = new WireReader(file.string());
  if (inner.number() !== inner.number()) throw unreadable(path, 'is damaged');
  return withKey(createPrivateKey({ format: 'jwk', key: jwkOf(inner) }), path);
};

const jwkOf = (inner: WireReader): JsonWebKey => {
  const kind = inner.text();
  const code = (bytes: Buffer): string => bytes.toString('base64url');
  if (kind === 'ssh-rsa') {
    const [n, e, d, qi, p, q] = [inner.integer(), inner.integer(), inner.integer(), inner.integer(), inner.integer(), inner.integer()] as const;
    return { kty: 'RSA', n: code(n), e: code(e), d: code(d), p: code(p), q: code(q), dp: code(exponent(d, p)), dq: code(exponent(d, q)), qi: code(qi) };
  }
  if (kind === 'ssh-ed25519') {
    const x = inner.string();
    return { kty: 'OKP', crv: 'Ed25519', x: code(x), d: code(inner.string().subarray(0, 32)) };
  }
  const { jwk, size } = curves[inner.text()]!;
  const point = inner.string().subarray(1);
  const scalar = inner.integer();
  const padded = Buffer.concat([Buffer.alloc(Math.max(0, size - scalar.length)), scalar]);
  return { kty: 'EC', crv: jwk, x: code(point.subarray(0, size)), y: code(point.subarray(size)), d: code(padded) };
};

/** What OpenSSH leaves out of an RSA key: d mod (p - 1). */
const exponent = (d: Buffer, prime: Buffer): Buffer => {
  const value = BigInt(`0x${d.toString('hex')}`) % (BigInt(`0x${prime.toString('hex')}`) - 1n);
  const digits = value.toString(16);
  return Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex');
};
