/**
 * Names in the DNS: which a machine has, who is told, and the datacenter's own server. The rules themselves are in dns/machine-names.ts, for
 * this side and for the hosts, which answer their machines by themselves.
 */
import { isIP } from 'node:net';
import type { Logger } from '../../base/logger.ts';
import { messageChain } from '../../base/errors.ts';
import type { AgentClient } from '../../client/agent.ts';
import { machineRecords, namedAccounts, namedMachine, namesOfMachine } from '../../dns/machine-names.ts';
import type { NamedAccount } from '../../dns/machine-names.ts';
import type { Record } from '../../dns/record.ts';
import type { Machine } from '../../model/control-api.ts';
import type { DnsStatus } from '../../model/names-api.ts';
import { publicId } from '../../model/public-id.ts';
import { accountList } from '../../store/account.ts';
import { networkListShared } from '../../store/network.ts';
import { systemContext as system } from '../../store/context.ts';
import type { Store } from '../../store/store.ts';
import type { Changes } from '../app/changes.ts';
import { Wake, wakeOrTimeout } from '../wake.ts';
import { Notifier } from './notify.ts';
import type { Secondary } from './notify.ts';
import { DnsServer } from './server.ts';
import { ZoneKeeper } from './zone-keeper.ts';

export interface NamesOptions {
  /** What all names end with. */
  zone: string;
  /** Absent: only the hosts' own machines are told. Port 0 is any that is free. */
  listen?: { address: string; port: number } | undefined;
  secondaries?: readonly Secondary[] | undefined;
}

export interface NamesParts {
  store: Store;
  agent: AgentClient;
  changes: Changes;
  logger: Logger;
  /** Notified when the agent can be reached again. */
  reachable: Wake;
  inStep: () => boolean;
}

const retryMs = 1000;
const dnsPort = 53;

interface Serving extends AsyncDisposable {
  server: DnsServer;
  keeper: ZoneKeeper;
  notifier: Notifier;
}

export class Names implements AsyncDisposable {
  readonly zone: string;
  readonly #options: NamesOptions;
  readonly #parts: NamesParts;
  readonly #stopping = new AbortController();
  readonly #woken = new Wake();
  readonly #stack = new AsyncDisposableStack();
  #accounts = new Map<string, NamedAccount>();
  /** Networks of several accounts. */
  #shared: ReadonlySet<string> = new Set();
  /** What the host was told last; empty: it may have something else. */
  #told = '';
  #stale = true;
  #serving: Serving | undefined;
  #working: Promise<void> | undefined;

  constructor(options: NamesOptions, parts: NamesParts) {
    this.zone = options.zone;
    this.#options = options;
    this.#parts = parts;
  }

  /** Resolves when what the store has can be asked for. */
  async start(): Promise<void> {
    const { changes } = this.#parts;
    // Accounts come with machines that are found on a host.
    this.#stack.use(changes.listen((machine) => machine === null && this.accountsChanged()));
    this.#stale = false;
    await this.#readAccounts();
    this.#serving = await this.#serve();
    this.#working = this.#work();
  }

  /** After the transaction. */
  accountsChanged(): void {
    this.#stale = true;
    this.#woken.notify();
  }

  /** Names that lead to the machine. */
  of(machine: Machine): string[] {
    const [named, account] = this.#named(machine);
    return named === null || account === undefined ? [] : namesOfMachine(named, account, this.zone);
  }

  /** All that its own account is told of the machine. */
  recordsOf(machine: Machine): Record[] {
    const [named, account] = this.#named(machine);
    return named === null || account === undefined ? [] : machineRecords(named, account, this.zone, 'own');
  }

  /** But for the resolver, which is the host's to tell. */
  get status(): Omit<DnsStatus, 'resolver'> {
    const { listen, secondaries = [] } = this.#options;
    const { server, keeper, notifier } = this.#serving ?? {};
    return {
      zone: this.zone,
      address: listen?.address ?? null,
      port: server?.port ?? listen?.port ?? null,
      serving: server !== undefined,
      zones: keeper === undefined ? [] : [...keeper.zones.all()].map(({ name, serial, names }) => ({ name, serial, names })),
      secondaries: secondaries.map((secondary) => ({ ...secondary, heard: notifier?.heard(secondary, this.zone) ?? null })),
      counters: server === undefined ? null : { ...server.counters },
    };
  }

  #named(machine: Machine) {
    return [namedMachine(machine, machine.state === 'running', this.#shared), this.#accounts.get(machine.account)] as const;
  }

  async #readAccounts(): Promise<void> {
    this.#shared = new Set((await networkListShared(system, this.#parts.store.db)).map(({ id }) => id));
    const accounts = await accountList(system, this.#parts.store.db);
    // A label is an account's also while its names are off: nobody gets them meanwhile.
    const enabled = new Set(accounts.filter(({ namesEnabled }) => namesEnabled).map(({ id }) => id));
    const named = namedAccounts(accounts.map(({ id, name, createdAt }) => ({ id, uuid: publicId('account', id), name, createdAt })));
    const before = JSON.stringify([...this.#accounts.values()]);
    this.#accounts = new Map(named.filter(({ id }) => enabled.has(id)).map((account) => [account.id, account]));
    if (JSON.stringify([...this.#accounts.values()]) !== before) this.#serving?.keeper.touch(null);
  }

  async #work(): Promise<void> {
    const { agent, reachable, inStep, logger } = this.#parts;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      // Both taken before looking, so that nothing falls in between.
      const back = reachable.next().then(() => {
        this.#told = '';
      });
      const woken = Promise.race([this.#woken.next(), back]);
      try {
        if (this.#stale) {
          this.#stale = false;
          await this.#readAccounts();
        }
        const accounts = [...this.#accounts.values()];
        if (inStep() && JSON.stringify(accounts) !== this.#told) {
          await agent.namesTell({ accounts }, { signal });
          this.#told = JSON.stringify(accounts);
        }
        await wakeOrTimeout(woken, Number.POSITIVE_INFINITY, signal);
      } catch (error) {
        this.#stale = true;
        if (!signal.aborted) logger.warn({ error: messageChain(error) }, 'the host could not be told whose names there are; it is tried again');
        await wakeOrTimeout(Promise.withResolvers().promise, retryMs, signal);
      }
    }
  }

  /** A port that is taken keeps nobody from the rest. */
  async #serve(): Promise<Serving | undefined> {
    const { listen } = this.#options;
    if (listen === undefined) return undefined;
    const { logger } = this.#parts;
    try {
      const serving = await this.#open(listen);
      logger.info({ zone: this.zone, address: listen.address, port: serving.server.port }, 'DNS serves');
      return this.#stack.use(serving);
    } catch (error) {
      logger.error({ ...listen, error: messageChain(error) }, 'DNS is not served');
      return undefined;
    }
  }

  async #open(listen: { address: string; port: number }): Promise<Serving> {
    const { secondaries = [] } = this.#options;
    const { store, changes, logger } = this.#parts;
    await using stack = new AsyncDisposableStack();
    const notifier = new Notifier({ secondaries, from: listen.address, logger, signal: this.#stopping.signal });
    const keeper = stack.use(
      new ZoneKeeper({
        store,
        changes,
        logger,
        zone: this.zone,
        servers: serversOf(this.zone, listen, secondaries),
        accounts: () => this.#accounts,
        onChanged: (zones) => notifier.tell(zones),
      }),
    );
    await keeper.start();
    const places = new Set(secondaries.map(({ address }) => address));
    const server = stack.use(await DnsServer.open({ zones: keeper.zones, ...listen, logger, mayTransfer: (address) => places.has(address) }));
    const held = stack.move();
    return { server, keeper, notifier, [Symbol.asyncDispose]: () => held.disposeAsync() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#working;
    await this.#stack.disposeAsync();
  }
}

/** Who is told as the zones' servers: secondaries, and this one where resolvers find it, or where there is no other. */
const serversOf = (zone: string, listen: { address: string; port: number }, secondaries: readonly Secondary[]) => {
  const shown = [...(listen.port === dnsPort || secondaries.length === 0 ? [listen] : []), ...secondaries];
  return shown.filter(({ address }) => isIP(address) !== 0).map(({ address }, index) => ({ name: `ns${index + 1}.${zone}`, address }));
};
