/**
 * The firewall of a host's machines. What is wanted (rules, and what there is to know of machines) is kept here; the table in the kernel
 * is made to be so by difference, in one transaction each time. There is a table only while some machine has its firewall on.
 *
 * The cost of a change follows from what changes: a machine's tags are elements of sets, a rule is in one level for each direction, and
 * only sets that changed are compared.
 */
import { CenoteError } from '../../../base/errors.ts';
import type { Logger } from '../../../base/logger.ts';
import { LevelCompiler, fewMembers, levelKeysOf, levelsFor, membershipKey, membershipKeysOf, membershipsOf } from '../../../model/firewall/compile.ts';
import type { Level } from '../../../model/firewall/compile.ts';
import { Policy } from '../../../model/firewall/judge.ts';
import type { FirewallMachine, OwnedRule } from '../../../model/firewall/rule.ts';
import { NftablesError } from '../../../sys/nftables-error.ts';
import type { NftRunner } from '../../../sys/nftables.ts';
import type { BegunFlow } from '../flow-entry.ts';
import { addressesOf } from '../../../model/nics.ts';
import { isMachineAddress } from '../../../model/subnet.ts';
import type { Subnet } from '../../../model/subnet.ts';
import { changeSets, transact } from '../transaction.ts';
import { asText, difference, elementsOnly } from './parts.ts';
import type { Command, Part, Parts } from './parts.ts';
import { Numbers, firewallTable, heldShape, renderAccount, renderDispatch, renderGuarded, renderLevel, renderMembers, tableFrame } from './render.ts';
import type { Guarded, RenderedCells } from './render.ts';

export interface FirewallTableOptions {
  instance: string;
  subnet: Subnet;
  /** Where questions to the gateway go, when it is on another network. */
  resolver?: string | undefined;
  nftables: NftRunner;
  logger: Logger;
}

/** A level as it stands, and as it was compiled last; null when that is no longer true. */
interface KeptLevel {
  rules: Map<string, OwnedRule>;
  compiler: LevelCompiler;
  compiled: { level: Level; part: Part; memberships: string[] } | null;
}

interface KeptMachine {
  machine: FirewallMachine;
  memberships: string[];
}

export class FirewallTable {
  readonly #options: FirewallTableOptions;
  readonly #table: string;
  readonly #numbers = new Numbers();
  readonly #rules = new Map<string, OwnedRule>();
  readonly #levels = new Map<string, KeptLevel>();
  readonly #machines = new Map<string, KeptMachine>();
  /** Addresses of every membership that some machine has, asked for or not. What the kernel was told of is copied before it is changed, so that a set that is the same is known to be. */
  readonly #members = new Map<string, Set<string>>();
  readonly #memberParts = new WeakMap<ReadonlySet<string>, Part>();
  /** Keys of those copied since. */
  readonly #copied = new Set<string>();
  readonly #cells: RenderedCells = new WeakMap();
  /** By address, of machines with their firewall on. */
  readonly #guarded = new Map<string, Guarded>();
  #dispatch: Part | null = null;
  /** As the kernel has it; null: there is no table. */
  #loaded: Parts | null = null;
  #policy: Policy | null = null;

  constructor(options: FirewallTableOptions) {
    this.#options = options;
    this.#table = firewallTable(options.instance);
  }

  /** What judges the flows that are known already. */
  get policy(): Policy {
    this.#policy ??= new Policy(
      this.#rules.values(),
      Array.from(this.#machines.values(), ({ machine }) => machine),
    );
    return this.#policy;
  }

  /** Whether any machine has its firewall on. */
  get isJudging(): boolean {
    return this.#guarded.size > 0;
  }

  /** Addresses of machines with their firewall on. */
  get guarded(): Iterable<string> {
    return this.#guarded.keys();
  }

  hasMachine(id: string): boolean {
    return this.#machines.has(id);
  }

  hasRule(id: string): boolean {
    return this.#rules.has(id);
  }

  /** Exactly these. Whatever a former agent left is replaced as a whole, in one transaction. */
  restore(rules: readonly OwnedRule[], machines: readonly FirewallMachine[]): void {
    for (const id of this.#rules.keys()) this.#removeRule(id);
    for (const id of this.#machines.keys()) this.#removeMachine(id);
    for (const owned of rules) this.#putRule(owned);
    for (const machine of machines) this.#putMachine(machine);
    this.#loadWhole();
  }

  /** True when anything that the kernel does has changed. */
  changeRules(put: readonly OwnedRule[], remove: readonly string[]): boolean {
    const former = [...put.map(({ id }) => id), ...remove].map((id) => [id, this.#rules.get(id)] as const);
    for (const id of remove) this.#removeRule(id);
    for (const owned of put) this.#putRule(owned);
    return this.#applyOr(() => {
      for (const [id, owned] of former) {
        this.#removeRule(id);
        if (owned !== undefined) this.#putRule(owned);
      }
    });
  }

  setMachine(machine: FirewallMachine): boolean {
    const former = this.#machines.get(machine.id)?.machine;
    if (former !== undefined && JSON.stringify(former) === JSON.stringify(machine)) return false;
    this.#putMachine(machine);
    return this.#applyOr(() => (former === undefined ? this.#removeMachine(machine.id) : this.#putMachine(former)));
  }

  removeMachine(id: string): boolean {
    const former = this.#machines.get(id)?.machine;
    if (former === undefined) return false;
    this.#removeMachine(id);
    return this.#applyOr(() => this.#putMachine(former));
  }

  /**
   * Answers of datagrams that were on their way when their flow was cut would begin it anew, from the other end, where nothing may speak
   * against it. TCP has its own beginnings.
   */
  holdOff(flows: readonly BegunFlow[]): void {
    if (this.#loaded === null) return;
    const elements = new Set(flows.map(({ from, to, sourcePort, answeringPort }) => `${to} . ${from} . ${answeringPort} . ${sourcePort}`));
    const held = { verb: 'add', set: 'held', shape: heldShape(this.#options.subnet.family), elements: [...elements] } as const;
    transact(() => changeSets(this.#options.nftables, this.#table, [held]));
  }

  removeAll(): void {
    this.#run(this.#withoutTable());
    this.#loaded = null;
  }

  #putRule(owned: OwnedRule): void {
    this.#removeRule(owned.id);
    this.#rules.set(owned.id, owned);
    for (const key of levelKeysOf(owned, this.#options.subnet.family)) {
      const level = this.#levels.get(key) ?? { rules: new Map<string, OwnedRule>(), compiler: new LevelCompiler(key), compiled: null };
      this.#levels.set(key, level);
      level.rules.set(owned.id, owned);
      level.compiled = null;
    }
    this.#policy = null;
  }

  #removeRule(id: string): void {
    const owned = this.#rules.get(id);
    if (owned === undefined) return;
    this.#rules.delete(id);
    for (const key of levelKeysOf(owned, this.#options.subnet.family)) {
      const level = this.#levels.get(key)!;
      level.rules.delete(id);
      level.compiled = null;
      if (level.rules.size === 0) this.#levels.delete(key);
    }
    this.#policy = null;
  }

  #putMachine(machine: FirewallMachine): void {
    const wrong = addressesOf(machine).find((address) => !isMachineAddress(this.#options.subnet, address));
    if (wrong !== undefined) throw new CenoteError('internal', `${wrong} is no address of a machine`);
    this.#removeMachine(machine.id);
    const kept = { machine, memberships: membershipKeysOf(machine) };
    this.#machines.set(machine.id, kept);
    const own = addressesOf(machine);
    for (const key of kept.memberships) this.#changeMembers(key, (addresses) => own.forEach((address) => addresses.add(address)));
    if (machine.firewall) {
      for (const address of own) this.#guarded.set(address, renderGuarded(this.#numbers, address, machine.account));
      this.#dispatch = null;
    }
    this.#forgetNaming(machine.id);
  }

  #removeMachine(id: string): void {
    const kept = this.#machines.get(id);
    if (kept === undefined) return;
    const { machine, memberships } = kept;
    this.#machines.delete(id);
    const own = addressesOf(machine);
    for (const key of memberships) this.#changeMembers(key, (addresses) => own.forEach((address) => addresses.delete(address)));
    if (machine.firewall) {
      for (const address of own) this.#guarded.delete(address);
      this.#dispatch = null;
    }
    this.#forgetNaming(id);
  }

  #changeMembers(key: string, change: (addresses: Set<string>) => void): void {
    let addresses = this.#members.get(key);
    if (addresses === undefined || !this.#copied.has(key)) addresses = new Set(addresses);
    this.#copied.add(key);
    const before = addresses.size;
    change(addresses);
    if (Math.min(before, addresses.size) <= fewMembers) this.#forgetNaming(key);
    if (addresses.size === 0) this.#members.delete(key);
    else this.#members.set(key, addresses);
  }

  #memberPart(key: string): Part {
    const addresses = this.#members.get(key) ?? new Set();
    const part = this.#memberParts.get(addresses) ?? renderMembers(this.#numbers, this.#options.subnet.family, key, addresses);
    this.#memberParts.set(addresses, part);
    return part;
  }

  /** Levels in which a machine is named, or a membership of few, hold addresses. */
  #forgetNaming(name: string): void {
    for (const level of this.#levels.values()) if (level.compiler.forget(name)) level.compiled = null;
    this.#policy = null;
  }

  #applyOr(undo: () => void): boolean {
    try {
      return this.#apply();
    } catch (error) {
      undo();
      throw error;
    }
  }

  #apply(): boolean {
    const wanted = this.#guarded.size === 0 ? null : this.#parts();
    if (wanted === null) {
      if (this.#loaded === null) return false;
      this.#run(this.#withoutTable());
    } else if (this.#loaded === null) {
      this.#run(this.#wholeTable(wanted));
    } else {
      const commands = difference(this.#table, this.#loaded, wanted);
      this.#loaded = commands.length === 0 ? wanted : this.#loaded;
      if (commands.length === 0) return false;
      try {
        this.#change(commands);
      } catch (error) {
        if (!(error instanceof NftablesError)) throw error;
        this.#options.logger.warn({ err: error, details: error.details }, 'the firewall was changed by someone else; it is loaded as a whole');
        this.#run(this.#wholeTable(wanted));
      }
    }
    this.#loaded = wanted;
    return true;
  }

  #loadWhole(): void {
    const wanted = this.#guarded.size === 0 ? null : this.#parts();
    if (wanted !== null) this.#run(this.#wholeTable(wanted));
    else if (this.#options.nftables.hasTable(this.#table)) this.#run(this.#withoutTable()); // the kernel takes its time to delete one, and most networks have none
    this.#loaded = wanted;
  }

  #withoutTable(): string {
    return `add table inet ${this.#table}\ndelete table inet ${this.#table}\n`;
  }

  #wholeTable(parts: Parts): string {
    const { instance, subnet, resolver } = this.#options;
    const frameParts: Parts = new Map([['dispatch', renderDispatch(subnet.family, [])]]);
    return this.#withoutTable() + tableFrame(instance, subnet, resolver) + asText(this.#table, difference(this.#table, frameParts, parts));
  }

  /** The whole table as it is to be; only the accounts of guarded machines have rules in it, and only sets that these ask for. */
  #parts(): Parts {
    this.#dispatch ??= renderDispatch(this.#options.subnet.family, [...this.#guarded.values()]);
    const parts = new Map<string, Part>([['dispatch', this.#dispatch]]);
    const byAccount = Map.groupBy(this.#levels, ([key]) => (JSON.parse(key) as [string | null])[0]);
    const everybodys = byAccount.get(null) ?? [];
    const accounts = new Set(Array.from(this.#guarded.values(), ({ account }) => account));
    for (const account of accounts) {
      const kept = [...everybodys, ...(byAccount.get(account) ?? [])].map(([, level]) => this.#compile(level));
      const levels = kept.map(({ level }) => level);
      const ordered = { in: levelsFor(account, 'in', levels), out: levelsFor(account, 'out', levels) };
      parts.set(`account ${account}`, renderAccount(this.#numbers, account, ordered));
      const used = new Set([...ordered.in, ...ordered.out]);
      for (const { level, part, memberships } of kept) {
        if (!used.has(level)) continue;
        parts.set(`level ${level.key}`, part);
        for (const key of memberships) parts.set(`members ${key}`, this.#memberPart(key));
      }
    }
    this.#copied.clear();
    return parts;
  }

  #compile(kept: KeptLevel): NonNullable<KeptLevel['compiled']> {
    if (kept.compiled !== null) return kept.compiled;
    const { instance, subnet } = this.#options;
    const { family } = subnet;
    const level = kept.compiler.compile(kept.rules.values(), {
      family,
      addressesOf: (id, account) => {
        const machine = this.#machines.get(id)?.machine;
        return machine !== undefined && (account === null || account === machine.account) ? addressesOf(machine) : [];
      },
      fewOf: (membership) => {
        const addresses = this.#members.get(membershipKey(membership));
        return (addresses?.size ?? 0) <= fewMembers ? [...(addresses ?? [])] : null;
      },
    });
    kept.compiled = {
      level,
      part: renderLevel(this.#numbers, { instance, family, cells: this.#cells }, level),
      memberships: [...new Set(membershipsOf(level).map(membershipKey))],
    };
    return kept.compiled;
  }

  #run(commands: string): void {
    transact(() => void this.#options.nftables.run(commands));
  }

  /** In one transaction. Most are of elements alone. */
  #change(commands: readonly Command[]): void {
    const { nftables } = this.#options;
    const changes = elementsOnly(commands);
    if (changes === undefined) nftables.run(asText(this.#table, commands));
    else changeSets(nftables, this.#table, changes);
  }
}
