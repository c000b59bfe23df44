/** The certificate that a server shows, looked at before anything is said to it: for a person to compare. */
import { isIP } from 'node:net';
import { connect } from 'node:tls';
import { CenoteError, messageOf } from '../base/errors.ts';

export interface ShownCertificate {
  pem: string;
  /** SHA-256, as `AA:BB:…`. */
  fingerprint: string;
  /** Whether somebody whom this host trusts vouches for it. */
  vouched: boolean;
}

const answerMs = 15_000;

export const shownCertificate = (url: URL, signal: AbortSignal): Promise<ShownCertificate> => {
  const { promise, resolve, reject } = Promise.withResolvers<ShownCertificate>();
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const servername = isIP(host) === 0 ? { servername: host } : {};
  const socket = connect({ host, port: Number(url.port || 443), minVersion: 'TLSv1.2', rejectUnauthorized: false, ...servername });
  const fail = (cause: unknown): void =>
    reject(
      new CenoteError('unavailable', `${url.host} shows no certificate: ${messageOf(cause)}`, {
        cause,
        advice: 'see its address, and whether it serves https: cenote info on the server',
      }),
    );
  const abort = (): void => void socket.destroy(new Error('given up'));
  signal.addEventListener('abort', abort, { once: true });
  socket.setTimeout(answerMs, () => socket.destroy(new Error(`no answer in ${answerMs / 1000} s`)));
  socket.on('error', fail);
  socket.on('close', () => {
    signal.removeEventListener('abort', abort);
    fail(new Error('the connection ended'));
  });
  socket.on('secureConnect', () => {
    const certificate = socket.getPeerX509Certificate();
    if (certificate !== undefined) resolve({ pem: certificate.toString(), fingerprint: certificate.fingerprint256, vouched: socket.authorized });
    socket.destroy();
  });
  return promise;
};

/** `AA:BB:…`, `aabb…` and `SHA256:…` are the same; undefined for what is no SHA-256. */
export const plainFingerprint = (text: string): string | undefined => {
  const digits = text
    .replace(/^sha-?256[:=]/i, '')
    .replaceAll(':', '')
    .toUpperCase();
  return /^[0-9A-F]{64}$/.test(digits) ? digits : undefined;
};
