/** Serves CloudAPI: plain on the loopback, where nobody is between client and server, and with TLS on any other address. */
import { X509Certificate } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import { isIPv6 } from 'node:net';
import type { Control } from '../control.ts';
import { AccessBook } from './access/book.ts';
import { tlsFor } from './certificate.ts';
import { serveChangefeed } from './changefeed.ts';
import { endpoints } from './endpoints/all.ts';
import type { Route } from '../http/server.ts';
import { Lasting } from './lasting.ts';
import { serveOwnApi } from './own-api.ts';
import { Proofs } from './proofs.ts';
import { Rates } from './rates.ts';
import type { Rate } from './rates.ts';
import { createCloudApiServer } from './server.ts';
import { MachineTexts } from './wire/machine-texts.ts';

export interface CloudApiOptions {
  address: string;
  /** 0 is any that is free. */
  port: number;
  datacenter: string;
  perAccount?: Rate;
  perAddress?: Rate;
}

export interface RunningCloudApi extends AsyncDisposable {
  url: string;
  /** SHA-256 of the certificate, as clients that pin it show it. */
  fingerprint: string | null;
  /** Of our own API. */
  routes: readonly Route[];
}

/** One account's scripts in full swing; and, since many accounts may come from one address, more for each of those. */
const defaults = { perAccount: { perSecond: 1000, burst: 2000 }, perAddress: { perSecond: 5000, burst: 10_000 } } as const;

/** `directory` is where a certificate is kept. */
export const startCloudApi = async (control: Control, directory: string, options: CloudApiOptions): Promise<RunningCloudApi> => {
  const { address, port, datacenter } = options;
  const tls = tlsFor(directory, address);
  await using stack = new AsyncDisposableStack();
  const access = new AccessBook(control.store);
  const edge = { control, datacenter, access, texts: new MachineTexts() };
  const lasting = stack.use(new Lasting(control.logger));
  const proofs = new Proofs(access, lasting);
  control.store.onAccess = () => lasting.look();
  const admission = {
    proofs,
    perAccount: new Rates(options.perAccount ?? defaults.perAccount),
    perAddress: new Rates(options.perAddress ?? defaults.perAddress),
  };
  const server = createCloudApiServer({ edge, logger: control.logger, ...admission, endpoints, tls });
  stack.defer(() => server.close());
  const routes: Route[] = [];
  stack.use(await serveOwnApi(server.server, control, { edge, lasting, ...admission }, routes));
  stack.use(serveChangefeed(server.server, { edge, lasting, ...admission }));
  await server.listen({ host: address, port, backlog: 1024 });
  const { port: bound } = server.server.address() as AddressInfo;
  const url = `${tls === undefined ? 'http' : 'https'}://${hostOf(address)}:${bound}`;
  control.logger.info({ url }, 'CloudAPI serves');
  const fingerprint = tls === undefined ? null : new X509Certificate(tls.cert).fingerprint256;
  const running = stack.move();
  return { url, fingerprint, routes, [Symbol.asyncDispose]: () => running.disposeAsync() };
};

/** What a client can be told to connect to. */
const hostOf = (address: string): string => {
  if (address === '0.0.0.0' || address === '::') return hostname();
  return isIPv6(address) ? `[${address}]` : address;
};
