/**
 * The zones that everybody may be told of, kept as the store is: woken as changefeeds are, and only what has changed is looked at. What is
 * on networks that are an account's own is not in them.
 */
import type { Logger } from '../../base/logger.ts';
import { messageChain } from '../../base/errors.ts';
import { machineRecords, namedMachine } from '../../dns/machine-names.ts';
import type { NamedAccount } from '../../dns/machine-names.ts';
import { addressData } from '../../dns/record.ts';
import type { Record } from '../../dns/record.ts';
import { reverseZones } from '../../dns/reverse.ts';
import { apexTtl, Zone, Zones } from '../../dns/zone.ts';
import type { Machine } from '../../model/control-api.ts';
import { systemContext as system } from '../../store/context.ts';
import { machineFind, machineListAll } from '../../store/machine.ts';
import { networkListShared } from '../../store/network.ts';
import type { Store } from '../../store/store.ts';
import type { Changes } from '../app/changes.ts';
import { Wake, wakeOrTimeout } from '../wake.ts';
import { Serials } from './serial.ts';

export interface ZoneKeeperOptions {
  store: Store;
  changes: Changes;
  logger: Logger;
  zone: string;
  /** Names of the zones' servers with their addresses, the one that changes come from first. */
  servers: readonly { name: string; address: string }[];
  accounts: () => ReadonlyMap<string, NamedAccount>;
  /** Told which zones have a new version. */
  onChanged: (zones: readonly Zone[]) => void;
}

const retryMs = 1000;

export class ZoneKeeper implements AsyncDisposable {
  readonly zones = new Zones();
  readonly #options: ZoneKeeperOptions;
  readonly #stopping = new AbortController();
  readonly #woken = new Wake();
  readonly #dirty = new Set<string>();
  #all = true;
  /** Whose reverse zones there are. */
  readonly #subnets = new Set<string>();
  /** Networks of several accounts. */
  #shared: ReadonlySet<string> = new Set();
  #serials!: Serials;
  #listening: Disposable | undefined;
  #working: Promise<void> | undefined;

  constructor(options: ZoneKeeperOptions) {
    this.#options = options;
  }

  /** Resolves when the zones are as the store was. */
  async start(): Promise<void> {
    const { store, changes, zone, servers } = this.#options;
    this.#serials = await Serials.open(store);
    const made = this.#make(zone, await this.#serials.next());
    made.replace(
      'servers',
      servers.map(({ name, address }) => ({ name, ttl: apexTtl, data: addressData(address) })),
    );
    // Listened to before what there is is read, so that nothing falls in between.
    this.#listening = changes.listen((machine) => this.touch(machine));
    await this.#look();
    this.#working = this.#work();
  }

  /** Null: any machine's names may be others than they were. */
  touch(machine: string | null): void {
    if (machine === null) this.#all = true;
    else this.#dirty.add(machine);
    this.#woken.notify();
  }

  #make(name: string, serial: number): Zone {
    const zone = new Zone({ name, serial, servers: this.#options.servers.map((server) => server.name) });
    this.zones.add(zone);
    return zone;
  }

  async #work(): Promise<void> {
    const { logger } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const woken = this.#woken.next();
      try {
        await this.#look();
        await wakeOrTimeout(woken, Number.POSITIVE_INFINITY, signal);
      } catch (error) {
        // What was missed is not known any more.
        this.#all = true;
        logger.warn({ error: messageChain(error) }, 'names could not be read from the store; it is tried again');
        await wakeOrTimeout(Promise.withResolvers().promise, retryMs, signal);
      }
    }
  }

  async #look(): Promise<void> {
    const changed = new Set<Zone>();
    if (this.#all) {
      this.#all = false;
      this.#dirty.clear();
      await this.#lookAtAll(changed);
    }
    for (const id of this.#dirty) {
      this.#dirty.delete(id);
      const stored = await machineFind(system, this.#options.store.db, id);
      this.#say(id, stored === undefined ? [] : this.#recordsOf(stored.machine), changed);
    }
    if (changed.size === 0) return;
    const serial = await this.#serials.next();
    for (const zone of changed) zone.serial = serial;
    this.#options.onChanged([...changed]);
  }

  async #lookAtAll(changed: Set<Zone>): Promise<void> {
    const { store } = this.#options;
    const networks = await networkListShared(system, store.db);
    this.#shared = new Set(networks.map(({ id }) => id));
    for (const { subnet } of networks.filter((network) => !this.#subnets.has(network.subnet))) {
      this.#subnets.add(subnet);
      for (const name of reverseZones(subnet)) if (this.zones.get(name) === undefined) changed.add(this.#make(name, await this.#serials.next()));
    }
    const machines = new Map((await machineListAll(system, store.db)).map(({ machine }) => [machine.id, machine]));
    const gone = [...this.zones.all()].flatMap((zone) => [...zone.speakers].filter((who) => who !== '' && who !== 'servers' && !machines.has(who)));
    for (const id of gone) this.#say(id, [], changed);
    for (const [id, machine] of machines) this.#say(id, this.#recordsOf(machine), changed);
  }

  #recordsOf(machine: Machine): Record[] {
    const account = this.#options.accounts().get(machine.account);
    const named = namedMachine(machine, machine.state === 'running' && machine.desired === 'running', this.#shared);
    return account === undefined || named === null ? [] : machineRecords(named, account, this.#options.zone, 'shared');
  }

  #say(who: string, records: readonly Record[], changed: Set<Zone>): void {
    for (const zone of this.zones.all()) if (zone.replace(who, records)) changed.add(zone);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listening?.[Symbol.dispose]();
    this.#stopping.abort();
    await this.#working;
  }
}
