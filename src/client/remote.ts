/**
 * A control plane elsewhere: HTTP signatures over TLS, or plain on the loopback. Its certificate is one that an authority vouches for, or the
 * one that a person has looked at; anything else ends the connection before a word is said.
 */
import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders, RequestOptions } from 'node:http';
import type { AgentOptions } from 'node:https';
import type { Duplex } from 'node:stream';
import type { ConnectionOptions } from 'node:tls';
import { CenoteError } from '../base/errors.ts';
import { signedHeaders } from './signer.ts';
import type { KeyOwner, Signer } from './signer.ts';

/** Whom to believe: whom this host does, an authority (PEM), or just this certificate (PEM). */
export type Trust = { kind: 'system' } | { kind: 'authority' | 'certificate'; pem: string };

export interface RemoteOptions extends KeyOwner {
  url: string;
  signer: Signer;
  trust: Trust;
}

const http = process.getBuiltinModule('node:http');
const connectMs = 15_000;
/** Of what the server allows, so that a refusal for its sake is explained. */
const noticedSkewMs = 240_000;

const certificateFaults = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_SIGNATURE_FAILURE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'INVALID_CA',
]);

const expect = (pem: string) => {
  const { X509Certificate } = process.getBuiltinModule('node:crypto');
  const { fingerprint256 } = new X509Certificate(pem);
  return (_host: string, shown: { fingerprint256: string }): Error | undefined =>
    shown.fingerprint256 === fingerprint256 ? undefined : Object.assign(new Error('another certificate'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
};

/** Whoever trusts a certificate itself does not ask what name stands in it. */
const tlsOptions = (trust: Trust): AgentOptions => {
  const options: AgentOptions = { minVersion: 'TLSv1.2' };
  if (trust.kind === 'system') return options;
  if (trust.kind === 'authority') return { ...options, ca: trust.pem };
  return { ...options, ca: trust.pem, allowPartialTrustChain: true, checkServerIdentity: expect(trust.pem) };
};

export class Remote implements Disposable {
  readonly url: URL;
  readonly #options: RemoteOptions;
  readonly #tls: AgentOptions | undefined;
  readonly #agent: InstanceType<typeof http.Agent>;

  constructor(options: RemoteOptions) {
    this.#options = options;
    this.url = new URL(options.url);
    const keeping = { keepAlive: true, maxFreeSockets: 64 };
    this.#tls = this.url.protocol === 'https:' ? tlsOptions(options.trust) : undefined;
    this.#agent = this.#tls === undefined ? new http.Agent(keeping) : new (process.getBuiltinModule('node:https').Agent)({ ...keeping, ...this.#tls });
  }

  sign(method: string, path: string): Promise<OutgoingHttpHeaders> {
    return signedHeaders(this.#options.signer, this.#options, method, path);
  }

  request(options: RequestOptions): ClientRequest {
    const { request } = this.#tls === undefined ? http : process.getBuiltinModule('node:https');
    const outgoing = request({ ...options, ...this.#place(), agent: this.#agent });
    outgoing.once('socket', (socket) => {
      if (!socket.connecting) return;
      const timer = setTimeout(() => outgoing.destroy(Object.assign(new Error('no connection'), { code: 'ETIMEDOUT' })), connectMs);
      const stop = (): void => clearTimeout(timer);
      socket.once(this.#tls === undefined ? 'connect' : 'secureConnect', stop).once('close', stop);
    });
    return outgoing;
  }

  /** A connection of its own, for what leaves HTTP behind. */
  connect(): Duplex {
    const { isIP, connect } = process.getBuiltinModule('node:net');
    const place = { ...this.#place(), keepAlive: true };
    if (this.#tls === undefined) return connect(place);
    const servername = isIP(place.host) === 0 ? { servername: place.host } : {};
    return process.getBuiltinModule('node:tls').connect({ ...this.#tls, ...place, ...servername } as ConnectionOptions);
  }

  #place(): { host: string; port: number } {
    const { hostname, port, protocol } = this.url;
    return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port) };
  }

  /** A certificate that is not to be trusted, in words; undefined for other errors. */
  mistrusted(code: string, cause: unknown): CenoteError | undefined {
    const { trust } = this.#options;
    const say = (message: string, advice: string) => new CenoteError('unauthorized', message, { cause, advice });
    if (code === 'EPROTO' || code.startsWith('ERR_SSL')) return say(`${this.url.host} does not speak TLS as it should`, 'does it serve http, not https?');
    if (code === 'CERT_HAS_EXPIRED')
      return say(`the certificate of ${this.url.host} has expired`, 'see the clocks of both hosts, and on the server: cenote info');
    if (!certificateFaults.has(code)) return undefined;
    if (trust.kind === 'certificate')
      return say(
        `${this.url.host} shows another certificate than the one that the profile trusts: it is another server, or has a new one`,
        'if `cenote info` on the server tells of a new one, delete the profile and create it again with --trust',
      );
    return say(
      `nobody that this host trusts vouches for the certificate of ${this.url.host}`,
      'create the profile again with --trust FINGERPRINT (cenote info on the server tells it) or --ca FILE',
    );
  }

  /** What the server's refusal means for whoever has this profile. */
  refused(error: CenoteError, { headers }: IncomingMessage): CenoteError {
    if (error.code !== 'unauthorized') return error;
    const skewMs = Date.now() - Date.parse(headers.date ?? '');
    const advice =
      Math.abs(skewMs) > noticedSkewMs
        ? `this host's clock is ${Math.abs(Math.round(skewMs / 1000))} s ${skewMs > 0 ? 'ahead of' : 'behind'} the server's: set it`
        : isKeyThere(this.#options);
    return new CenoteError('unauthorized', error.message, { cause: error, advice });
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

/** Where to look for what the server does not know. */
const isKeyThere = ({ account, user, signer }: RemoteOptions): string => {
  const [kind, id = ''] = signer.keyPath.split('/');
  const whose = user === undefined ? `is there an account ${account} with` : `has account ${account} a user ${user} with`;
  if (kind === 'accesskeys') {
    const of = user === undefined ? account : `${account} --user ${user}`;
    return `${whose} the access key ${id}, which is active, and is this its secret? On the server: cenote account accesskey ls ${of}`;
  }
  const where = user === undefined ? `On the server: cenote account key ls ${account}` : `The account's owner sees it: triton rbac keys ${user}`;
  return `${whose} the key ${decodeURIComponent(id)}? ${where}`;
};
