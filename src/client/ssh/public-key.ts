/** SSH public keys, as blobs: what they are called, and how requests are signed with them. */
import { createHash } from 'node:crypto';
import { CenoteError } from '../../base/errors.ts';
import { WireReader } from './wire.ts';

export interface PublicKey {
  blob: Buffer;
  sha256: string;
  md5: string;
  /** Of signatures, as HTTP signatures name it. */
  algorithm: 'rsa-sha256' | 'ecdsa-sha256' | 'ecdsa-sha384' | 'ecdsa-sha512' | 'ed25519-sha512';
}

const algorithms: Readonly<Record<string, PublicKey['algorithm']>> = {
  'ssh-rsa': 'rsa-sha256',
  'ecdsa-sha2-nistp256': 'ecdsa-sha256',
  'ecdsa-sha2-nistp384': 'ecdsa-sha384',
  'ecdsa-sha2-nistp521': 'ecdsa-sha512',
  'ssh-ed25519': 'ed25519-sha512',
};

/** Undefined for kinds that the control plane does not take. */
export const publicKeyOf = (blob: Buffer): PublicKey | undefined => {
  const algorithm = algorithms[new WireReader(blob).text()];
  if (algorithm === undefined) return undefined;
  return {
    blob,
    algorithm,
    sha256: `SHA256:${createHash('sha256').update(blob).digest('base64').replaceAll('=', '')}`,
    md5: createHash('md5')
      .update(blob)
      .digest('hex')
      .replaceAll(/(..)(?=.)/g, '$1:'),
  };
};

export const demandKind = (blob: Buffer, what: string): PublicKey => {
  const key = publicKeyOf(blob);
  if (key !== undefined) return key;
  throw new CenoteError('unsupported', `${what} is of kind ${new WireReader(blob).text().slice(0, 60)}`, { advice: 'use an RSA, ECDSA or ed25519 key' });
};

const fingerprintPattern = /^(SHA256:[A-Za-z0-9+/]{43}=?|(MD5:)?([0-9a-f]{2}:){15}[0-9a-f]{2}|[0-9a-f]{32})$/;

export const isFingerprint = (text: string): boolean => fingerprintPattern.test(text);

/** In any form that ssh-keygen and triton write. */
export const hasFingerprint = ({ sha256, md5 }: PublicKey, text: string): boolean =>
  text.replace(/=$/, '') === sha256 || text.replace(/^MD5:/, '').replaceAll(':', '') === md5.replaceAll(':', '');
