/** A plain client of CloudAPI that signs as it is told to, also wrongly. */
import { createHash, createHmac } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { text } from 'node:stream/consumers';
import type sshpk from 'sshpk';

export interface Reply {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  /** Undefined for an empty body. */
  body: unknown;
}

export interface SignedOptions {
  /** Of the keyId; by default the account's own. */
  keyId?: string;
  algorithm?: string;
  date?: Date;
  /** What is signed; `(request-target)` and `date` by default. */
  signedHeaders?: string[];
  headers?: Record<string, string>;
  json?: unknown;
  raw?: { type: string; text: string };
  /** Changes what is sent after it was signed. */
  sendPath?: string;
  unsigned?: boolean;
}

/** An access key; of a user of the account where one is named. */
export interface SecretKey {
  id: string;
  secret: string;
  user?: string;
}

export class SignedClient {
  readonly #url: URL;
  readonly #account: string;
  readonly #key: sshpk.PrivateKey | SecretKey;

  constructor(url: string, account: string, key: sshpk.PrivateKey | SecretKey) {
    this.#url = new URL(url);
    this.#account = account;
    this.#key = key;
  }

  /** The headers of a signed request. */
  signed(method: string, path: string, options: Pick<SignedOptions, 'keyId'> = {}): Record<string, string> {
    const headers = { date: new Date().toUTCString() };
    return { ...headers, authorization: this.#authorization(method, path, headers, options) };
  }

  /** A URL that anybody may use until it expires, for the methods named. */
  presigned(path: string, options: { methods?: string[]; expires?: number; host?: string; keyId?: string } = {}): string {
    const { methods = ['GET'], expires = Math.floor(Date.now() / 1000) + 60, host = this.#url.host, keyId } = options;
    const [plain = '', text = ''] = path.split('?');
    const query = new URLSearchParams(text);
    query.set('algorithm', this.#algorithm());
    query.set('expires', String(expires));
    query.set('keyId', keyId ?? this.#keyId());
    if (methods.length > 1) query.set('method', methods.join(','));
    query.sort();
    const line = query.toString().replaceAll('+', '%20').replaceAll('*', '%2A');
    const signature = this.#sign(this.#algorithm(), [methods.toSorted().join(), host, plain, line].join('\n'));
    return `${plain}?${line}&signature=${encodeURIComponent(signature)}`;
  }

  async send(method: string, path: string, options: SignedOptions = {}): Promise<Reply> {
    const body = options.raw?.text ?? (options.json === undefined ? undefined : JSON.stringify(options.json));
    const type = options.raw?.type ?? 'application/json';
    const date = (options.date ?? new Date()).toUTCString();
    const headers: Record<string, string> = { date, ...(body === undefined ? {} : { 'content-type': type }), ...options.headers };
    if (options.unsigned !== true) headers['authorization'] = this.#authorization(method, path, headers, options);
    const request = httpRequest({ host: this.#url.hostname, port: this.#url.port, method, path: options.sendPath ?? path, headers, agent: false });
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    request.on('error', reject);
    request.on('response', (response) => {
      text(response).then(
        (content) => resolve({ status: response.statusCode!, headers: response.headers, text: content, body: content === '' ? undefined : parsed(content) }),
        reject,
      );
    });
    request.end(body);
    return promise;
  }

  #keyId(): string {
    if (!('secret' in this.#key)) return `/${this.#account}/keys/${this.#key.fingerprint('md5').toString('hex')}`;
    const { id, user } = this.#key;
    return `/${this.#account}${user === undefined ? '' : `/users/${user}`}/accesskeys/${id}`;
  }

  #algorithm(): string {
    if ('secret' in this.#key) return 'hmac-sha256';
    return `${this.#key.type}-${this.#key.type === 'ed25519' ? 'sha512' : 'sha256'}`;
  }

  #sign(algorithm: string, text: string): string {
    const hash = algorithm.split('-')[1] as sshpk.AlgorithmHashType;
    if ('secret' in this.#key) return createHmac(hash, this.#key.secret).update(text).digest('base64');
    const signer = this.#key.createSign(hash);
    signer.update(text);
    return signer.sign().toString();
  }

  #authorization(method: string, path: string, headers: Record<string, string>, options: SignedOptions): string {
    const names = options.signedHeaders ?? ['(request-target)', 'date'];
    const lines = names.map((name) => (name === '(request-target)' ? `(request-target): ${method.toLowerCase()} ${path}` : `${name}: ${headers[name] ?? ''}`));
    const algorithm = options.algorithm ?? this.#algorithm();
    const signature = this.#sign(algorithm, lines.join('\n'));
    return `Signature keyId="${options.keyId ?? this.#keyId()}",algorithm="${algorithm}",headers="${names.join(' ')}",signature="${signature}"`;
  }
}

const parsed = (content: string): unknown => {
  try {
    return JSON.parse(content);
  } catch {
    return content;
  }
};

export const md5Of = (content: string): string => createHash('md5').update(content).digest('base64');
