/**
 * The certificate that CloudAPI is served with: the one given, else one of its own making, which says nothing but that it is the same server as
 * yesterday. Own ones are made anew before they end, and when the address is another.
 */
import { createHash, generateKeyPairSync, randomBytes, sign, X509Certificate } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { CenoteError } from '../../base/errors.ts';

export interface Tls {
  cert: string;
  key: string;
}

const dayMs = 24 * 3600_000;
const validDays = 730;
const renewDays = 60;
const ownName = 'Cenote CloudAPI';

/** In the control plane's own directory. */
export const certificatePaths = (directory: string) => ({ cert: `${directory}/cloudapi-certificate.pem`, key: `${directory}/cloudapi-key.pem` });

/** On the loopback nobody is between client and server. */
export const tlsFor = (directory: string, address: string): Tls | undefined => (isLoopback(address) ? undefined : certificateFor(directory, address));

const isLoopback = (address: string): boolean => address === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(address);

export const certificateFor = (directory: string, address: string): Tls => {
  const paths = certificatePaths(directory);
  const found = readPair(paths);
  if (found !== undefined && serves(found, address)) return found;
  const names = [...new Set([hostname(), 'localhost'])];
  const made = makeCertificate(names, isAny(address) ? ['127.0.0.1', '::1'] : ['127.0.0.1', '::1', address]);
  for (const [path, text, mode] of [
    [paths.key, made.key, 0o600],
    [paths.cert, made.cert, 0o644],
  ] as const) {
    writeFileSync(`${path}.new`, text, { mode, flush: true });
    renameSync(`${path}.new`, path);
  }
  return made;
};

const isAny = (address: string): boolean => address === '0.0.0.0' || address === '::';

const readPair = (paths: { cert: string; key: string }): Tls | undefined => {
  try {
    return { cert: readFileSync(paths.cert, 'utf8'), key: readFileSync(paths.key, 'utf8') };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new CenoteError('failed', `${paths.cert} or ${paths.key} cannot be read`, { cause: error });
  }
};

/** One that was given is served as long as it is there, whatever it says: who gave it knows why. */
const serves = ({ cert }: Tls, address: string): boolean => {
  const certificate = new X509Certificate(cert);
  if (!certificate.subject.includes(ownName)) return true;
  return certificate.validToDate.getTime() - Date.now() > renewDays * dayMs && (isAny(address) || certificate.checkIP(address) !== undefined);
};

/** DER: a tag, a length, and what it holds. */
const der = (tag: number, ...parts: Buffer[]): Buffer => {
  const content = Buffer.concat(parts);
  const digits: number[] = [];
  for (let length = content.length; length > 0; length = Math.floor(length / 256)) digits.unshift(length % 256);
  const header = content.length < 128 ? [tag, content.length] : [tag, 0x80 | digits.length, ...digits];
  return Buffer.concat([Buffer.from(header), content]);
};
const sequence = (...parts: Buffer[]): Buffer => der(0x30, ...parts);
const set = (...parts: Buffer[]): Buffer => der(0x31, ...parts);
const oid = (...bytes: number[]): Buffer => der(0x06, Buffer.from(bytes));
const utf8 = (text: string): Buffer => der(0x0c, Buffer.from(text));
const octets = (content: Buffer): Buffer => der(0x04, content);
const yes = der(0x01, Buffer.from([0xff]));
const time = (at: Date): Buffer => der(0x18, Buffer.from(at.toISOString().replaceAll(/[-:T]|\.\d+/g, '')));

const ecdsaWithSha256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02));
const commonName = oid(0x55, 0x04, 0x03);
const extension = (last: number, critical: boolean, value: Buffer): Buffer => sequence(oid(0x55, 0x1d, last), ...(critical ? [yes] : []), octets(value));

const addressBytes = (address: string): Buffer => {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const words = (text: string | undefined) => (text === undefined || text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16)));
  const [front, back] = [words(head), words(tail)];
  const all = [...front, ...Array.from({ length: 8 - front.length - back.length }, () => 0), ...back];
  return Buffer.from(all.flatMap((word) => [word >> 8, word & 255]));
};

/** Signed by itself; good for being a server of these names and addresses, and for being trusted as it is. */
const makeCertificate = (names: readonly string[], addresses: readonly string[]): Tls => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const name = sequence(set(sequence(commonName, utf8(ownName))));
  const serial = Buffer.concat([Buffer.from([0x01]), randomBytes(15)]);
  const alternatives = sequence(...names.map((one) => der(0x82, Buffer.from(one))), ...addresses.map((one) => der(0x87, addressBytes(one))));
  const keyIdentifier = createHash('sha1').update(spki).digest();
  const extensions = sequence(
    extension(0x13, true, sequence(yes)), // basic constraints: an authority, since it is trusted by itself
    extension(0x0f, true, der(0x03, Buffer.from([0x02, 0x84]))), // key usage: signatures, and certificates
    extension(0x11, false, alternatives),
    extension(0x0e, false, octets(keyIdentifier)),
  );
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    ecdsaWithSha256,
    name,
    sequence(time(new Date(Date.now() - dayMs)), time(new Date(Date.now() + validDays * dayMs))),
    name,
    spki,
    der(0xa3, extensions),
  );
  const signature = sign('sha256', body, privateKey);
  const certificate = sequence(body, ecdsaWithSha256, der(0x03, Buffer.from([0]), signature));
  const lines = certificate
    .toString('base64')
    .replaceAll(/(.{64})/g, '$1\n')
    .trimEnd();
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  };
};
