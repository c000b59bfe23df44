/**
 * Rules made ready for a packet filter that has sets: of one family, and only what machines of this host apply.
 *
 * All rules of one account (or of the operator), direction, priority and action are a level: within it order means nothing, so its rules
 * melt together into cells. A cell is one question to the filter: is the packet's machine in this set of machines and the other side in
 * that one, and are (machine's address, other address, protocol, port) among these elements. Who is named by its own address is in the
 * elements, so a thousand rules about single machines and addresses are one question; who is named by a tag that many have is in a set of
 * its own, so that the tag's coming and going is one element, however many rules name it.
 *
 * A rule whose product of both sides and ports is large, or that logs, stays by itself (`single`): its sides are sets of its own.
 */
import { formatCidr, parseAddress, wholeAddress } from '../address.ts';
import type { Family } from '../address.ts';
import { disjointElements } from './elements.ts';
import type { Box, Element, WrittenCidr } from './elements.ts';
import { cidrOf, precedence } from './judge.ts';
import { defaultAction, isMachineTarget, sidesOf } from './rule.ts';
import type { Action, Direction, FirewallMachine, OwnedRule, PortRange, Service, Target } from './rule.ts';

/** Machines that a set is of: those of an account (null: all) with a tag, or all of them. */
export interface Membership {
  account: string | null;
  tag: { name: string; value: string | null } | null;
}

/** Of a side: a membership's machines, addresses that the elements name, or everyone. */
export type Class = { kind: 'everyone' } | { kind: 'named' } | { kind: 'members'; of: Membership };

export interface Cell {
  local: Class;
  remote: Class;
  elements: Element[];
}

/** A rule by itself: either side is any of these, and the service one of those. */
export interface Single {
  id: string;
  log: boolean;
  local: SingleSide;
  remote: SingleSide;
  services: Element[];
}

export interface SingleSide {
  classes: Class[];
  /** What `named` means. */
  addresses: string[];
}

export interface Level {
  key: string;
  account: string | null;
  direction: Direction;
  priority: number;
  action: Action;
  cells: Cell[];
  singles: Single[];
}

/** Elements that one rule may add to cells shared with others. */
const mostShared = 256;
/** Tags that no more machines have are named by those machines' addresses: a set of its own for each would cost more, and most tags are had by few. */
export const fewMembers = 4;

/** The keys of the levels that a rule is in: one for each direction in which machines apply it. */
export const levelKeysOf = (owned: OwnedRule, family: Family): string[] => {
  const { account, rule } = owned;
  if (rule.service.protocol === (family === 4 ? 'icmp6' : 'icmp')) return [];
  const directions = (['in', 'out'] as const).filter((direction) => sidesOf(rule, direction).local.some(isMachineTarget));
  return directions.map((direction) => JSON.stringify([account, direction, rule.priority, rule.action]));
};

/** The levels that are about machines of an account, in the order in which they decide, without those at the end that only say what the default is. */
export const levelsFor = (account: string, direction: Direction, levels: Iterable<Level>): Level[] => {
  const about = Array.from(levels).filter((level) => level.direction === direction && (level.account === null || level.account === account));
  const ordered = about.toSorted((one, other) => precedence(one, direction) - precedence(other, direction));
  const last = ordered.findLastIndex(({ action, singles }) => action !== defaultAction[direction] || singles.some(({ log }) => log));
  return ordered.slice(0, last + 1);
};

/** What a level's form depends on besides its rules; it has to be compiled anew when an answer changes. */
export interface Places {
  family: Family;
  /** Where a machine is, when this host has it and an account's rules may be about it. */
  addressesOf: (machine: string, account: string | null) => readonly string[];
  /** The addresses of a membership that few have; null: of more than that. */
  fewOf: (membership: Membership) => readonly string[] | null;
}

/** What a rule says in one cell. */
interface CellShare {
  key: string;
  local: Class;
  remote: Class;
  boxes: Box[];
}

/** What a rule adds to its level; `asked` names the machines and memberships whose addresses are in it. */
interface Share {
  cells: CellShare[];
  singles: Single[];
  asked: ReadonlySet<string>;
}

/** Compiles a level again and again: what a rule says in it, and what cells come to, is kept as long as it holds. */
export class LevelCompiler {
  readonly #key: string;
  readonly #shares = new Map<OwnedRule, Share>();
  readonly #asking = new Map<string, Set<OwnedRule>>();
  #cells = new Map<string, { cell: Cell; shares: CellShare[] }>();

  constructor(key: string) {
    this.#key = key;
  }

  compile(rules: Iterable<OwnedRule>, places: Places): Level {
    const [account, direction, priority, action] = JSON.parse(this.#key) as [string | null, Direction, number, Action];
    const wanted = new Set(rules);
    for (const owned of this.#shares.keys()) if (!wanted.has(owned)) this.#drop(owned);
    const shares = Array.from(wanted, (owned) => this.#shareOf(owned, direction, places));
    const byCell = Map.groupBy(
      shares.flatMap(({ cells }) => cells),
      ({ key }) => key,
    );
    this.#cells = new Map(Array.from(byCell, ([key, parts]) => [key, this.#cellOf(key, parts)]));
    const cells = Array.from(this.#cells.values(), ({ cell }) => cell);
    return { key: this.#key, account, direction, priority, action, cells, singles: shares.flatMap(({ singles }) => singles) };
  }

  /** A machine, or a membership, is asked about anew. False: no rule asked about it, and the level is as it was. */
  forget(name: string): boolean {
    const asking = this.#asking.get(name);
    for (const owned of asking ?? []) this.#drop(owned);
    return asking !== undefined;
  }

  #drop(owned: OwnedRule): void {
    for (const name of this.#shares.get(owned)?.asked ?? []) {
      const asking = this.#asking.get(name)!;
      asking.delete(owned);
      if (asking.size === 0) this.#asking.delete(name);
    }
    this.#shares.delete(owned);
  }

  #shareOf(owned: OwnedRule, direction: Direction, places: Places): Share {
    const known = this.#shares.get(owned);
    if (known !== undefined) return known;
    const asked = new Set<string>();
    const share = { ...compileRule(owned, direction, watched(places, asked)), asked };
    this.#shares.set(owned, share);
    for (const name of asked) this.#asking.set(name, (this.#asking.get(name) ?? new Set()).add(owned));
    return share;
  }

  #cellOf(key: string, shares: CellShare[]): { cell: Cell; shares: CellShare[] } {
    const known = this.#cells.get(key);
    if (known !== undefined && known.shares.length === shares.length && known.shares.every((share, index) => share === shares[index])) return known;
    const { local, remote } = shares[0]!;
    return { cell: { local, remote, elements: disjointElements(shares.flatMap(({ boxes }) => boxes)) }, shares };
  }
}

const watched = (places: Places, asked: Set<string>): Places => ({
  family: places.family,
  addressesOf: (machine, account) => {
    asked.add(machine);
    return places.addressesOf(machine, account);
  },
  fewOf: (membership) => {
    asked.add(membershipKey(membership));
    return places.fewOf(membership);
  },
});

const compileRule = (owned: OwnedRule, direction: Direction, places: Places): Omit<Share, 'asked'> => {
  const sides = sidesOf(owned.rule, direction);
  const local = sides.local.filter(isMachineTarget).flatMap((target) => partsOf(owned, target, places, 'local'));
  const remote = sides.remote.flatMap((target) => partsOf(owned, target, places, 'remote'));
  if (local.length === 0 || remote.length === 0) return { cells: [], singles: [] };
  const services = rangesOf(owned.rule.service);
  if (owned.log || local.length * remote.length * services.length > mostShared) {
    const boxes = services.map((service) => ({ ...service, local: null, remote: null }));
    const single = { id: owned.id, log: owned.log, local: singleSide(local), remote: singleSide(remote), services: disjointElements(boxes) };
    return { cells: [], singles: [single] };
  }
  const cells = new Map<string, CellShare>();
  for (const one of local) {
    for (const other of remote) {
      const key = JSON.stringify([one.class, other.class]);
      const cell = cells.get(key) ?? { key, local: one.class, remote: other.class, boxes: [] };
      cells.set(key, cell);
      for (const service of services) cell.boxes.push({ ...service, local: one.cidr, remote: other.cidr });
    }
  }
  return { cells: [...cells.values()], singles: [] };
};

/** One target of a side: its class, and the address when it has one. */
interface Part {
  class: Class;
  cidr: WrittenCidr | null;
}

const partsOf = (owned: OwnedRule, target: Target, { family, addressesOf, fewOf }: Places, side: 'local' | 'remote'): Part[] => {
  const { account } = owned;
  const membersOf = (of: Membership): Part[] => fewOf(of)?.map(named) ?? [{ class: { kind: 'members', of }, cidr: null }];
  switch (target.kind) {
    case 'any':
      return [{ class: { kind: 'everyone' }, cidr: null }];
    case 'all':
      // Whoever gets as far as this level is the account's already.
      return side === 'local' ? [{ class: { kind: 'everyone' }, cidr: null }] : membersOf({ account, tag: null });
    case 'tag':
      return membersOf({ account, tag: { name: target.name, value: target.value } });
    case 'vm':
      return addressesOf(target.id, account).map(named);
    case 'ip':
    case 'subnet': {
      const cidr = cidrOf(target)!;
      return cidr.family === family ? [{ class: { kind: 'named' }, cidr: { ...cidr, text: formatCidr(cidr) } }] : [];
    }
  }
};

const named = (address: string): Part => ({ class: { kind: 'named' }, cidr: { ...wholeAddress(parseAddress(address)!), text: address } });

const singleSide = (parts: readonly Part[]): SingleSide => {
  const classes = new Map(parts.map((part) => [JSON.stringify(part.class), part.class]));
  // Nested subnets would meet in the set: what is inside another adds nothing.
  const cidrs = parts.flatMap(({ cidr }) => (cidr === null ? [] : [cidr]));
  const outermost = disjointElements(cidrs.map((remote) => ({ protocol: 'ah' as const, local: null, remote, from: 0, to: 0 })));
  return { classes: [...classes.values()], addresses: outermost.map(({ remote }) => remote!) };
};

type ServiceRange = Pick<Box, 'protocol'> & PortRange;

const everything: PortRange = { from: 0, to: 65_535 };

/** A kind of ICMP is one number here, its type and then its code, so that `TYPE 8` is a range like others. */
const rangesOf = (service: Service): ServiceRange[] => {
  if ('ports' in service) return (service.ports === 'all' ? [everything] : service.ports).map((range) => ({ protocol: service.protocol, ...range }));
  if (!('types' in service)) return [{ protocol: service.protocol, ...everything }];
  const { types } = service;
  if (types === 'all') return [{ protocol: service.protocol, ...everything }];
  return types.map(({ type, code }) => ({ protocol: service.protocol, from: type * 256 + (code ?? 0), to: type * 256 + (code ?? 255) }));
};

/**
 * What a rule costs the host, in elements of shared sets; one that stays by itself costs about as much as the largest that does not. A tag
 * counts once, whoever has it.
 */
export const weightOf = ({ rule, log }: Pick<OwnedRule, 'rule' | 'log'>): number => {
  const { service } = rule;
  const items = 'ports' in service ? service.ports : 'types' in service ? service.types : 'all';
  const product = rule.from.length * rule.to.length * (items === 'all' ? 1 : items.length);
  return log ? mostShared : Math.min(product, mostShared);
};

/** Every membership that levels ask for. */
export const membershipsOf = (level: Level): Membership[] =>
  [
    ...level.cells.flatMap(({ local, remote }) => [local, remote]),
    ...level.singles.flatMap(({ local, remote }) => [...local.classes, ...remote.classes]),
  ].flatMap((one) => (one.kind === 'members' ? [one.of] : []));

export const membershipKey = ({ account, tag }: Membership): string => JSON.stringify([account, tag === null ? null : [tag.name, tag.value]]);

/** The keys of every set that a machine is a member of, asked for or not. */
export const membershipKeysOf = ({ account, tags }: FirewallMachine): string[] =>
  [account, null].flatMap((whose) => [
    membershipKey({ account: whose, tag: null }),
    ...Object.entries(tags).flatMap(([name, value]) => [
      membershipKey({ account: whose, tag: { name, value: null } }),
      membershipKey({ account: whose, tag: { name, value: String(value) } }),
    ]),
  ]);
