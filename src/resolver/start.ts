/**
 * The resolver's process: machines are answered whether or not agent and control plane are there. It has no right but to listen on a port
 * below 1024, and knows what it was told.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../base/logger.ts';
import { messageOf } from '../base/errors.ts';
import { OwnNames } from './own-names.ts';
import { Relay } from './relay.ts';
import { Tellers } from './tellers.ts';

export interface ResolverOptions {
  /** Where machines ask: their gateway's address. */
  address: string;
  /** Where those ask that have IPv6 alone. */
  address6?: string | undefined;
  /** 53, but in tests. */
  port: number;
  isMachine: (address: string) => boolean;
  zone: string;
  shared: boolean;
  socketPath: string;
  resolvConfPath: string;
  logger: Logger;
}

/** The address comes with the agent, which may come later. */
const retryMs = 100;
const retry6Ms = 1000;
/** Whoever holds the port may be about to end: an agent of before this process was. */
const patienceMs = 3000;
const statusEveryMs = 2000;

export const startResolver = async (options: ResolverOptions): Promise<AsyncDisposable> => {
  const { socketPath, logger, zone, shared, isMachine } = options;
  await using stack = new AsyncDisposableStack();
  const stopping = new AbortController();
  const names = new OwnNames({ zone, shared, isOurs: isMachine });
  let relay: Relay | undefined;
  const tellers = stack.use(await Tellers.open({ socketPath, onTold: (told) => names.take(told), status: () => relay?.status, logger }));
  const opening = openRelay(options, names, stopping.signal).then((opened) => {
    relay = opened;
    tellers.notify();
    return listen6(options, opened, stopping.signal);
  });
  stack.defer(async () => {
    stopping.abort();
    await opening;
    await relay?.[Symbol.asyncDispose]();
  });
  let told = '';
  const telling = setInterval(() => {
    const status = JSON.stringify(relay?.status);
    if (status !== told) tellers.notify();
    told = status;
  }, statusEveryMs).unref();
  stack.defer(() => clearInterval(telling));
  return stack.move();
};

/** At the same port. A host may have no IPv6, or have it later. */
const listen6 = async ({ address6, logger }: ResolverOptions, relay: Relay | undefined, signal: AbortSignal): Promise<void> => {
  let said = '';
  while (address6 !== undefined && relay !== undefined && !signal.aborted) {
    try {
      await relay.listen(address6);
      logger.info({ address: address6, port: relay.port }, 'machines are answered by IPv6');
      return;
    } catch (error) {
      if (messageOf(error) !== said) logger.info({ address: address6, port: relay.port, error: messageOf(error) }, 'cannot listen by IPv6 yet');
      said = messageOf(error);
      await sleep(retry6Ms, undefined, { signal }).catch(() => undefined);
    }
  }
};

const openRelay = async (options: ResolverOptions, names: OwnNames, signal: AbortSignal): Promise<Relay | undefined> => {
  const { address, isMachine, resolvConfPath, logger } = options;
  let { port } = options;
  let inUseSince: number | undefined;
  let said = '';
  while (!signal.aborted) {
    try {
      const relay = await Relay.open({
        address,
        port,
        resolvConfPath,
        logger,
        mayAsk: (from) => isMachine(from) || names.isKnown(from),
        answerOwn: (query, from, limit) => names.answer(query, from, limit),
      });
      logger.info({ address, port: relay.port }, 'machines are answered');
      return relay;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EADDRINUSE') inUseSince ??= performance.now();
      if (inUseSince !== undefined && performance.now() - inUseSince > patienceMs && port !== 0) {
        logger.info({ address, port }, 'a program of this host listens on all addresses; another port is taken, which packets are led to');
        port = 0;
        continue;
      }
      if (messageOf(error) !== said) logger.info({ address, port, error: messageOf(error) }, 'cannot listen yet');
      said = messageOf(error);
      await sleep(retryMs, undefined, { signal }).catch(() => undefined);
    }
  }
  return undefined;
};
