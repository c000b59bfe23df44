/**
 * The names that this host's machines are told without anybody being asked: those of the asker's own account, with addresses that it reaches, and, where the datacenter serves
 * names to others, what everybody is told. Nothing else beneath the zone is looked up elsewhere, so no name of ours leaves the host.
 */
import { answerEmpty, answerFrom, tellsOf } from '../dns/answer.ts';
import { machineRecords } from '../dns/machine-names.ts';
import type { NamedAccount, View } from '../dns/machine-names.ts';
import { isBeneath } from '../dns/name.ts';
import type { Asker } from '../dns/reach.ts';
import { flags, internetClass, responseCodes } from '../dns/query.ts';
import type { Query } from '../dns/query.ts';
import { addressOfReverse } from '../dns/reverse.ts';
import type { Told, ToldMachine } from '../dns/told.ts';
import { MessageWriter } from '../dns/writer.ts';
import { Zone } from '../dns/zone.ts';

export interface OwnNamesOptions {
  zone: string;
  /** Whether the datacenter serves names to everybody. */
  shared: boolean;
  /** Whether an address may be a machine's: its name is nobody else's to know. */
  isOurs: (address: string) => boolean;
}

interface Asking {
  /** The machine, or router, under whose address is asked. */
  id: string;
  account: string;
  /** Absent: where it asks from was not told. */
  asker: Asker | undefined;
}

/** What an account is told, or everybody is: names, and names of addresses. */
interface Known {
  forward: Zone;
  reverse: [Zone, Zone];
}

export class OwnNames {
  readonly #options: OwnNamesOptions;
  readonly #writer = new MessageWriter();
  readonly #machines = new Map<string, ToldMachine>();
  readonly #byAddress = new Map<string, Asking>();
  readonly #known = new Map<string, Known>();
  readonly #shared: Known;
  #accounts = new Map<string, NamedAccount>();
  /** Until it has been told once it cannot say that there is no such name. */
  #isTold = false;

  constructor(options: OwnNamesOptions) {
    this.#options = options;
    this.#shared = this.#make();
  }

  take(told: Told): void {
    switch (told.kind) {
      case 'all': {
        const there = new Set(told.machines.map(({ id }) => id));
        for (const id of this.#machines.keys()) if (!there.has(id)) this.#forget(id);
        this.#isTold = true;
        this.#setAccounts(told.accounts);
        for (const machine of told.machines) this.#set(machine);
        return;
      }
      case 'accounts':
        return this.#setAccounts(told.accounts);
      case 'machine':
        return this.#set(told.machine);
      case 'gone':
        return this.#forget(told.id);
    }
  }

  /** Whether it is a machine's that was told of. */
  isKnown(address: string): boolean {
    return this.#byAddress.has(address);
  }

  /** Undefined: it is for others to say. */
  answer(query: Query, from: string, limit: number): Buffer | undefined {
    if (query.class !== internetClass) return undefined;
    const asking = this.#byAddress.get(from);
    const asker = asking?.asker;
    const known = this.#known.get(asking?.account ?? '');
    if (isBeneath(query.name, this.#options.zone)) return this.#answerFrom([known?.forward, this.#shared.forward], query, limit, asker);
    if (!query.name.endsWith('.arpa')) return undefined;
    const address = addressOfReverse(query.name);
    if (address === undefined) return undefined;
    const side = query.name.endsWith('.ip6.arpa') ? 1 : 0;
    const zones = [known?.reverse[side], this.#shared.reverse[side]];
    const isTold = zones.some((zone) => zone !== undefined && tellsOf(zone, query.name, asker));
    return isTold || this.#options.isOurs(address) ? this.#answerFrom(zones, query, limit, asker) : undefined;
  }

  #answerFrom(zones: readonly (Zone | undefined)[], query: Query, limit: number, asker: Asker | undefined): Buffer {
    if (!this.#isTold) return answerEmpty(this.#writer, query, responseCodes.serverFailure, flags.recursionAvailable);
    const zone = zones.find((one) => one?.node(query.name) !== undefined) ?? this.#shared.forward;
    return answerFrom(this.#writer, zone, query, limit, flags.recursionAvailable, asker);
  }

  #set(machine: ToldMachine): void {
    const former = this.#machines.get(machine.id);
    if (former !== undefined && former.account !== machine.account) this.#forget(machine.id);
    this.#machines.set(machine.id, machine);
    if (former !== undefined) this.#forgetAddresses(former);
    for (const [address, asking] of askingOf(machine)) this.#byAddress.set(address, asking);
    this.#say(machine);
  }

  #forget(id: string): void {
    const machine = this.#machines.get(id);
    if (machine === undefined) return;
    this.#machines.delete(id);
    this.#forgetAddresses(machine);
    const last = ![...this.#machines.values()].some(({ account }) => account === machine.account);
    this.#say({ ...machine, named: null });
    if (last) this.#known.delete(machine.account);
  }

  /** Another may have it by now. */
  #forgetAddresses(machine: ToldMachine): void {
    for (const [address] of askingOf(machine)) if (this.#byAddress.get(address)?.id === machine.id) this.#byAddress.delete(address);
  }

  #setAccounts(accounts: readonly NamedAccount[]): void {
    this.#accounts = new Map(accounts.map((account) => [account.id, account]));
    for (const machine of this.#machines.values()) this.#say(machine);
  }

  #say({ id, account: accountId, named }: ToldMachine): void {
    const { zone, shared } = this.#options;
    const account = this.#accounts.get(accountId);
    let own = this.#known.get(accountId);
    if (own === undefined) this.#known.set(accountId, (own = this.#make()));
    const views: [Known, View][] = shared
      ? [
          [own, 'own'],
          [this.#shared, 'shared'],
        ]
      : [[own, 'own']];
    for (const [{ forward, reverse }, view] of views) {
      const records = named === null || account === undefined ? [] : machineRecords(named, account, zone, view);
      for (const part of [forward, ...reverse]) part.replace(id, records);
    }
  }

  /** Nobody takes these zones elsewhere: their version says nothing. */
  #make(): Known {
    const { zone } = this.#options;
    const made = (name: string) => new Zone({ name, servers: [`ns1.${zone}`], serial: 1 });
    return { forward: made(zone), reverse: [made('in-addr.arpa'), made('ip6.arpa')] };
  }
}

const askingOf = ({ id, account, address, asks = [address], asksBy, on = [] }: ToldMachine): [address: string, Asking][] => {
  const known = new Set(on);
  return asks.map((each, index) => {
    const by = asksBy?.[index];
    return [each, { id, account, asker: by === undefined ? undefined : { by, on: known } }];
  });
};
