/** The compiled firewall in nft's language. Names of accounts and tags never get into it: what has a name there has a number here. */
import { membershipKey } from '../../../model/firewall/compile.ts';
import type { Cell, Class, Level, Single, SingleSide } from '../../../model/firewall/compile.ts';
import type { Element } from '../../../model/firewall/elements.ts';
import type { Direction } from '../../../model/firewall/rule.ts';
import type { Family } from '../../../model/address.ts';
import type { Subnet } from '../../../model/subnet.ts';
import { packetWords } from '../packet-words.ts';
import type { PacketWords } from '../packet-words.ts';
import { declarationOf } from '../set-shapes.ts';
import type { FieldType, SetShape } from '../set-shapes.ts';
import type { Part, TableSet } from './parts.ts';

/** Numbers for whatever has a key; the same key has the same number as long as the process lives. */
export class Numbers {
  readonly #byKey = new Map<string, number>();

  of(key: string): number {
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    this.#byKey.set(key, this.#byKey.size + 1);
    return this.#byKey.size;
  }
}

export const firewallTable = (instance: string): string => `cenote-${instance}-firewall`;

/** By whose firewall. */
const drops = { in: 'goto blocked_in', out: 'goto blocked_out' } as const;
/** So long after a flow of datagrams was cut, its answers begin none. */
const holdOffSeconds = 10;

const dispatchShape = (family: Family): SetShape => ({ key: [packetWords[family].address], value: 'verdict' });

/** What a flow that was cut might be begun anew by. */
export const heldShape = (family: Family): SetShape => {
  const { address } = packetWords[family];
  return { key: [address, address, 'inet_service', 'inet_service'], more: ` flags timeout; timeout ${holdOffSeconds}s;` };
};

/**
 * The frame of the table. Packets come to it after the instance's own table, which has dropped what is forged, so that an address is a
 * machine; it only ever takes packets away. What belongs to a known flow was judged when the flow began. The resolver is asked at port 53
 * and may listen at another, and for a fabric's machines it listens on another network: its packets are judged before they are translated.
 */
export const tableFrame = (instance: string, { family, gateway }: Subnet, resolver?: string): string => {
  const { ip, address } = packetWords[family];
  return `
table inet ${firewallTable(instance)} {
  counter blocked { }
  # At whose address, in the last day.
  set blocked_at { type ${address}; size 65535; flags dynamic, timeout; timeout 1d; counter; }
  map senders { ${declarationOf(dispatchShape(family))} }
  map receivers { ${declarationOf(dispatchShape(family))} }
  set held { ${declarationOf(heldShape(family))} }
  chain resolving {
    type filter hook prerouting priority mangle; policy accept;
    ${ip} daddr ${gateway} meta l4proto { tcp, udp } th dport 53 ct state new ${ip} saddr vmap @senders
  }
  chain forward {
    type filter hook forward priority filter + 10; policy accept;
    ct state established,related accept
    ${ip} saddr . ${ip} daddr . udp sport . udp dport @held ${drops.out}
${resolver === undefined ? '' : `    ${ip} daddr ${resolver} ct status dnat accept\n`}    ${ip} saddr vmap @senders
    ${ip} daddr vmap @receivers
  }
  chain to_host {
    type filter hook input priority filter + 10; policy accept;
    ct state established,related accept
    ${ip} daddr ${gateway} ct status dnat accept
    ${ip} saddr vmap @senders
  }
  chain from_host {
    type filter hook output priority filter + 10; policy accept;
    ct state established,related accept
    ${ip} daddr vmap @receivers
  }
  chain blocked_in {
    update @blocked_at { ${ip} daddr } counter name blocked drop
  }
  chain blocked_out {
    update @blocked_at { ${ip} saddr } counter name blocked drop
  }
  # What a sender's rules let go is then judged where it arrives.
  chain sent {
    ${ip} daddr vmap @receivers
    accept
  }
}
`;
};

/** A flow begins with it. What comes in the middle of one was cut off, or would bring a flow back that was. */
const inMidFlow = (direction: Direction): string => `tcp flags & (fin | syn | rst | ack) != syn ${drops[direction]}`;

const verdictOf = ({ direction, action }: Level): string => (action === 'block' ? drops[direction] : direction === 'in' ? 'accept' : 'goto sent');

const accountChain = (numbers: Numbers, account: string, direction: Direction): string => `account${numbers.of(`account ${account}`)}_${direction}`;

const levelChain = (numbers: Numbers, level: Level): string => `level${numbers.of(`level ${level.key}`)}`;

export const membershipSet = (numbers: Numbers, key: string): string => `members${numbers.of(`members ${key}`)}`;

export const renderMembers = (numbers: Numbers, family: Family, key: string, addresses: ReadonlySet<string>): Part => ({
  sets: new Map([[membershipSet(numbers, key), { shape: { key: [packetWords[family].address] }, elements: addresses }]]),
  chains: new Map(),
});

/** An address under an account's rules, with what it is in each map: written once, since the maps are of all of them. */
export interface Guarded {
  account: string;
  elements: Record<Direction, string>;
}

export const renderGuarded = (numbers: Numbers, address: string, account: string): Guarded => {
  const element = (direction: Direction): string => `${address} : goto ${accountChain(numbers, account, direction)}`;
  return { account, elements: { in: element('in'), out: element('out') } };
};

/** Which account's rules an address is under. */
export const renderDispatch = (family: Family, guarded: readonly Guarded[]): Part => {
  const toChains = (direction: Direction): TableSet => ({
    shape: dispatchShape(family),
    elements: new Set(guarded.map(({ elements }) => elements[direction])),
  });
  return {
    sets: new Map([
      ['senders', toChains('out')],
      ['receivers', toChains('in')],
    ]),
    chains: new Map(),
  };
};

export const renderAccount = (numbers: Numbers, account: string, levels: Record<Direction, Level[]>): Part => {
  const chain = (direction: Direction, last: string): [string, string[]] => [
    accountChain(numbers, account, direction),
    [inMidFlow(direction), ...levels[direction].map((level) => `jump ${levelChain(numbers, level)}`), last],
  ];
  return { sets: new Map(), chains: new Map([chain('in', drops.in), chain('out', 'goto sent')]) };
};

/** How the two sides of a packet are called, seen from the machine that judges it. */
const sideNames = { in: { local: 'daddr', remote: 'saddr' }, out: { local: 'saddr', remote: 'daddr' } } as const;

/** As long as a cell is the same, so is what it is to the kernel. */
export type RenderedCells = WeakMap<Cell, readonly RenderedService[]>;

export interface LevelContext {
  instance: string;
  family: Family;
  cells: RenderedCells;
}

export const renderLevel = (numbers: Numbers, { instance, family, cells }: LevelContext, level: Level): Part => {
  const words = packetWords[family];
  const sets = new Map<string, TableSet>();
  const chains = new Map<string, string[]>();
  const lines: string[] = [];
  const verdict = verdictOf(level);
  const sides = sideNames[level.direction];
  const names = { local: `${words.ip} ${sides.local}`, remote: `${words.ip} ${sides.remote}` };
  for (const cell of level.cells) {
    const services = cells.get(cell) ?? renderCell(numbers, words, names, level, cell);
    cells.set(cell, services);
    for (const service of services) {
      sets.set(service.name, service.set);
      lines.push(`${service.match} ${verdict}`);
    }
  }
  for (const single of level.singles) {
    const name = `rule${numbers.of(`rule ${level.key} ${single.id}`)}`;
    const services = renderServices(words, name, [], [], single.services);
    for (const service of services) sets.set(service.name, service.set);
    const log = single.log ? `limit rate 10/second burst 20 packets log prefix "${logPrefix(instance, single, level)}" level info` : null;
    const body = renderSide(words, sets, numbers, names.remote, `${name}_remote`, single.remote).flatMap((match) =>
      services.flatMap((service) => [...(log === null ? [] : [`${match}${service.match} ${log}`]), `${match}${service.match} ${verdict}`]),
    );
    chains.set(name, body);
    lines.push(...renderSide(words, sets, numbers, names.local, `${name}_local`, single.local).map((match) => `${match}jump ${name}`));
  }
  chains.set(levelChain(numbers, level), lines);
  return { sets, chains };
};

const renderCell = (numbers: Numbers, words: PacketWords, names: Record<'local' | 'remote', string>, level: Level, cell: Cell): RenderedService[] => {
  const matches = [matchClass(numbers, names.local, cell.local), matchClass(numbers, names.remote, cell.remote)].join('');
  const key = [...(cell.local.kind === 'named' ? [names.local] : []), ...(cell.remote.kind === 'named' ? [names.remote] : [])];
  const types = key.map(() => words.address);
  const name = `cell${numbers.of(`cell ${level.key} ${JSON.stringify([cell.local, cell.remote])}`)}`;
  return renderServices(words, name, key, types, cell.elements).map((service) => ({ ...service, match: `${matches}${service.match}` }));
};

const logPrefix = (instance: string, single: Single, level: Level): string => `cenote-${instance} ${single.id} ${level.action} ${level.direction}: `;

const matchClass = (numbers: Numbers, side: string, one: Class): string =>
  one.kind === 'members' ? `${side} @${membershipSet(numbers, membershipKey(one.of))} ` : '';

/**
 * One match for each class of a rule's side; those named by address have a set of the rule's own. It has a second field, any protocol, only
 * because the library reads every element of sets of intervals in one field whenever anything is changed anywhere.
 */
const renderSide = (
  { address: type }: PacketWords,
  sets: Map<string, TableSet>,
  numbers: Numbers,
  side: string,
  name: string,
  { classes, addresses }: SingleSide,
): string[] => {
  const elements = new Set(addresses.map((address) => `${address} . 0-255`));
  if (elements.size > 0) sets.set(name, { shape: { key: [type, 'inet_proto'], isInterval: true }, elements });
  return classes.map((one) => (one.kind === 'named' ? `${side} . meta l4proto @${name} ` : matchClass(numbers, side, one)));
};

interface RenderedService {
  name: string;
  set: TableSet;
  match: string;
}

/**
 * Ports and kinds of ICMP are at different places in a packet, so they are asked for apart. So are ranges: a set that may have any is copied as
 * a whole by the kernel when one element changes, and grows with each; of others an element costs the same among ten and among ten thousand.
 */
const renderServices = (
  { icmp: icmpWord }: PacketWords,
  name: string,
  key: readonly string[],
  types: readonly FieldType[],
  elements: readonly Element[],
): RenderedService[] => {
  const isIcmp = ({ protocol }: Element): boolean => protocol === 'icmp' || protocol === 'icmp6';
  const [icmp, ports] = [elements.filter(isIcmp), elements.filter((element) => !isIcmp(element))];
  const rendered = (suffix: string, fields: readonly string[], fieldTypes: readonly FieldType[], texts: readonly string[]): RenderedService[] =>
    [false, true].flatMap((isInterval) => {
      const elements = new Set(texts.filter((text) => /[-/]/.test(text) === isInterval));
      const setName = `${name}_${suffix}${isInterval ? '_ranges' : ''}`;
      const set = { shape: { key: [...types, ...fieldTypes], isInterval }, elements };
      return elements.size === 0 ? [] : [{ name: setName, set, match: `${[...key, ...fields].join(' . ')} @${setName}` }];
    });
  return [
    ...rendered('ports', ['meta l4proto', 'th dport'], ['inet_proto', 'inet_service'], ports.map(portText)),
    ...rendered('types', [`${icmpWord} type`, `${icmpWord} code`], [`${icmpWord}_type`, `${icmpWord}_code`], icmp.flatMap(typeTexts)),
  ];
};

const withAddresses = ({ local, remote }: Element, ...rest: string[]): string =>
  [...(local === null ? [] : [local]), ...(remote === null ? [] : [remote]), ...rest].join(' . ');

const rangeText = (from: number, to: number): string => (from === to ? String(from) : `${from}-${to}`);

const portText = (element: Element): string => withAddresses(element, element.protocol, rangeText(element.from, element.to));

/** A range of (type, code), which are one number in the compiled form: its ragged ends, and whole types between them. */
const typeTexts = (element: Element): string[] => {
  let [firstType, firstCode] = [element.from >> 8, element.from & 255];
  let [lastType, lastCode] = [element.to >> 8, element.to & 255];
  if (firstType === lastType) return [withAddresses(element, String(firstType), rangeText(firstCode, lastCode))];
  const texts: string[] = [];
  if (firstCode > 0) {
    texts.push(withAddresses(element, String(firstType), rangeText(firstCode, 255)));
    [firstType, firstCode] = [firstType + 1, 0];
  }
  if (lastCode < 255) {
    texts.push(withAddresses(element, String(lastType), rangeText(0, lastCode)));
    [lastType, lastCode] = [lastType - 1, 255];
  }
  if (firstType <= lastType) texts.push(withAddresses(element, rangeText(firstType, lastType), '0-255'));
  return texts;
};
