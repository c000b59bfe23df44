/** Serves CloudAPI: plain on the loopback, where nobody is between client and server, and with TLS on any other address. */
import type { AddressInfo } from 'node:net';
import { isIPv6 } from 'node:net';
import { CenoteError } from '../../base/errors.ts';
import type { Control } from '../control.ts';
import { endpoints } from './endpoints/all.ts';
import { Rates } from './rates.ts';
import type { Rate } from './rates.ts';
import { createCloudApiServer } from './server.ts';
import { Signatures } from './signature.ts';

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
}

/** One account's scripts in full swing; and, since many accounts may come from one address, more for each of those. */
const defaults = { perAccount: { perSecond: 1000, burst: 2000 }, perAddress: { perSecond: 5000, burst: 10_000 } } as const;

export const startCloudApi = async (control: Control, options: CloudApiOptions): Promise<RunningCloudApi> => {
  const { address, port, datacenter } = options;
  if (!isLoopback(address)) throw new CenoteError('unsupported', `CloudAPI is not served on ${address}: only on the loopback, as yet`);
  const server = createCloudApiServer({
    edge: { control, datacenter },
    logger: control.logger,
    signatures: new Signatures(control.store.db),
    perAccount: new Rates(options.perAccount ?? defaults.perAccount),
    perAddress: new Rates(options.perAddress ?? defaults.perAddress),
    endpoints,
    tls: undefined,
  });
  await server.listen({ host: address, port, backlog: 1024 });
  const { port: bound } = server.server.address() as AddressInfo;
  const url = `http://${isIPv6(address) ? `[${address}]` : address}:${bound}`;
  control.logger.info({ url }, 'CloudAPI serves');
  return { url, [Symbol.asyncDispose]: () => server.close() };
};

const isLoopback = (address: string): boolean => address === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(address);
