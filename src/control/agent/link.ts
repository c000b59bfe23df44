/**
 * The tie to the host's agent: follows its events and keeps the store in step. While the tie holds, work follows what happens, never the
 * number of machines; when it is cut it is made again, and then everything is compared once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../../base/logger.ts';
import { CenoteError, messageChain } from '../../base/errors.ts';
import type { AgentClient } from '../../client/agent.ts';
import type { AgentInfo } from '../../model/agent-api.ts';
import type { Event } from '../../model/event.ts';
import { systemContext as system, defaultAccount } from '../../store/context.ts';
import { deletedMachineFind } from '../../store/deleted-machine.ts';
import { eventAppend } from '../../store/event.ts';
import type { NewEvent } from '../../store/event.ts';
import { machineAccount } from '../../store/machine.ts';
import { metaGet, metaSet } from '../../store/meta.ts';
import { networkExternal, networkSetExternal } from '../../store/network.ts';
import type { StoredNetwork } from '../../store/network.ts';
import type { Db, Store } from '../../store/store.ts';
import { isUuid } from '../../base/ids.ts';
import { parseSubnet } from '../../model/subnet.ts';
import type { Wake } from '../wake.ts';
import type { Catalog } from './catalog.ts';
import type { FloatingSync } from './floating-sync.ts';
import type { NetworkSync } from './network-sync.ts';
import { Refresher } from './refresher.ts';
import { Pulse } from './pulse.ts';
import { syncAll } from './sync.ts';
import type { SyncResult } from './sync.ts';
import type { Touched } from './touched.ts';

export interface LinkOptions {
  store: Store;
  agent: AgentClient;
  catalog: Catalog;
  networks: NetworkSync;
  floating: FloatingSync;
  touched: Touched;
  logger: Logger;
  /** Notified when the agent can be reached again. */
  reachable: Wake;
  /** Told when events have been recorded. */
  onEvents: () => void;
  /** Told when a machine, or null for any, may be shown otherwise than before. */
  onRefreshed: (machine: string | null) => void;
}

const firstDelayMs = 50;
const longestDelayMs = 2000;

export class AgentLink implements AsyncDisposable {
  readonly #options: LinkOptions;
  readonly #stopping = new AbortController();
  readonly #refresher: Refresher;
  readonly #pulse: Pulse;
  #following: Promise<void> | undefined;
  #info: AgentInfo | undefined;
  #external: StoredNetwork | undefined;
  #lastError = 'the control plane has not reached the agent yet';
  #inStep = false;

  constructor(options: LinkOptions) {
    this.#options = options;
    const { store, agent, touched, logger, onRefreshed } = options;
    this.#pulse = new Pulse(agent);
    this.#refresher = new Refresher({ store, agent, touched, logger, signal: this.#stopping.signal, syncAll: () => this.#syncAll(), onRefreshed });
  }

  /** Makes the first attempt, so that a store is compared with its host before anyone is served; goes on by itself. */
  async start(): Promise<void> {
    this.#external = await networkExternal(system, this.#options.store.db);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#following = this.#follow(resolve);
    await promise;
  }

  /** Whether the tie holds, so that what is asked for now is done now. */
  get inStep(): boolean {
    return this.#inStep;
  }

  /** What the host last said of itself: what it has in all, and what it cannot do. */
  get host(): AgentInfo {
    if (this.#info === undefined) throw this.#away();
    return this.#info;
  }

  /** For calls to the agent that may take any time: ends when it is found to stand still. Refuses where that is known. */
  get answering(): AbortSignal {
    this.#pulse.stopped.throwIfAborted();
    return this.#pulse.stopped;
  }

  /** The network that is the host's own. */
  get external(): StoredNetwork {
    if (this.#external === undefined) throw this.#away();
    return this.#external;
  }

  /** As the agent says it is now: what may be promised also changes by other instances, and by images. */
  async renew(): Promise<void> {
    this.#info = await this.#pulse.ask(this.#stopping.signal);
  }

  /** Compares everything once more; when the tie is cut, that is done as soon as it is made again. */
  async compare(): Promise<void> {
    if (this.#inStep) await this.#syncAll();
  }

  #away(): CenoteError {
    if (this.#pulse.stopped.aborted) return this.#pulse.stopped.reason as CenoteError;
    return new CenoteError('unavailable', `the host's agent cannot be reached: ${this.#lastError}`, { advice: 'see whether it runs: cenote doctor' });
  }

  async #follow(firstTried: () => void): Promise<void> {
    const { signal } = this.#stopping;
    let delay = firstDelayMs;
    let logged = '';
    while (!signal.aborted) {
      try {
        await this.#followOnce(() => {
          delay = firstDelayMs;
          logged = '';
          firstTried();
        });
        this.#lastError = 'it has ended the connection';
      } catch (error) {
        this.#lastError = messageChain(error);
      }
      if (signal.aborted) break;
      if (this.#lastError !== logged) this.#options.logger.warn({ error: this.#lastError }, 'the agent is away');
      logged = this.#lastError;
      firstTried();
      await sleep(delay, undefined, { signal }).catch(() => undefined);
      delay = Math.min(delay * 2, longestDelayMs);
    }
    firstTried();
  }

  /** Events are asked for before the list, so that nothing falls in between. */
  async #followOnce(connected: () => void): Promise<void> {
    const { store, agent, catalog, reachable, logger } = this.#options;
    const stop = new AbortController();
    const signal = AbortSignal.any([this.#stopping.signal, stop.signal]);
    try {
      const after = Number((await metaGet(system, store.db, 'agent.sequence')) ?? 0);
      this.#info = await this.#pulse.ask(signal);
      const batches = agent.events(after, { signal });
      const first = batches.next();
      first.catch(() => undefined);
      const { subnet, gateway } = this.#info.network;
      const { size } = parseSubnet('subnet', subnet, gateway);
      await store.transactionRepeatable((db) => networkSetExternal(system, db, { subnet, gateway, size }));
      this.#external = await networkExternal(system, store.db);
      await this.#options.networks.compare(signal);
      catalog.invalidate();
      const result = await this.#syncAll();
      if (await this.#options.floating.compare(signal)) this.#options.onRefreshed(null);
      logger.info({ ...result, agent: this.#info.version }, 'in step with the agent');
      this.#inStep = true;
      this.#pulse.goesOn();
      connected();
      reachable.notify();
      this.#pulse.watch(signal, (info) => (this.#info = info)).catch((error: unknown) => stop.abort(error));
      for (let batch = await first; !batch.done; batch = await batches.next()) await this.#take(batch.value);
    } catch (error) {
      throw stop.signal.aborted ? stop.signal.reason : error;
    } finally {
      this.#inStep = false;
      this.#options.networks.forget();
      stop.abort();
    }
  }

  async #syncAll(): Promise<SyncResult> {
    const { store, agent, touched, onEvents, onRefreshed } = this.#options;
    using watch = touched.watch();
    const statuses = await agent.machineList({ signal: this.#stopping.signal });
    const result = await syncAll(store, statuses, watch.ids);
    onEvents();
    onRefreshed(null);
    return result;
  }

  async #take(events: readonly Event[]): Promise<void> {
    const { store, onEvents, catalog } = this.#options;
    const last = events.at(-1)!.sequence;
    await store.transactionRepeatable(async (db) => {
      const kept: NewEvent[] = [];
      for (const { at, type, subject, message, detail } of events)
        kept.push({ at, type, subject, message, detail, account: isOfMachine(type) ? await accountOf(db, subject) : null });
      await eventAppend(system, db, kept);
      await metaSet(system, db, 'agent.sequence', String(last));
    });
    onEvents();
    if (events.some(({ type }) => type.startsWith('image.') || type.startsWith('platform.'))) catalog.invalidate();
    this.#refresher.refresh(events.filter(({ type, subject }) => type.startsWith('machine.') && isUuid(subject)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#following;
    await this.#refresher.idle();
  }
}

/** Events of images, platforms and the host itself are nobody's own; what the governor says is of machines. */
const isOfMachine = (type: string): boolean => /^(machine|snapshot|governor)\./.test(type);

/** Of a machine that nobody knows, the operator is told. */
const accountOf = async (db: Db, machine: string): Promise<string> =>
  (await machineAccount(system, db, machine)) ?? (await deletedMachineFind(system, db, machine))?.machine.account ?? defaultAccount;
