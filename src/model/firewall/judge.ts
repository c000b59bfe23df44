/**
 * What the rules mean, in the plainest form: the verdict on a packet that begins a flow, and the rule that gave it. What the kernel is
 * told (compile.ts) must come to the same; this is what it is compared with, and what answers when people ask.
 *
 * A packet is judged where it leaves, when that is a machine with its firewall on, and where it arrives, when that is one. Rules are looked
 * at by priority, and at equal priority those against the default first; the first one that is about the packet decides.
 */
import { contains, parseAddress, wholeAddress } from '../address.ts';
import type { Address, Cidr } from '../address.ts';
import { addressesOf } from '../nics.ts';
import { parseSubnet } from './parse.ts';
import { defaultAction, isAbout, isMachineTarget, namesMachine, sidesOf, winsAtEqualPriority } from './rule.ts';
import type { Action, Direction, FirewallMachine, OwnedRule, Service, Target } from './rule.ts';

export type PacketService =
  | { protocol: 'tcp' | 'udp'; port: number }
  | { protocol: 'icmp' | 'icmp6'; type: number; code: number }
  /** `other`: one that no rule can name. */
  | { protocol: 'ah' | 'esp' | 'other' };

export interface Packet {
  from: string;
  to: string;
  service: PacketService;
}

export interface Judgement {
  machine: string;
  direction: Direction;
  action: Action;
  /** The rule that decided; null: none was about it, and the default holds. */
  rule: string | null;
}

export interface Verdict {
  allowed: boolean;
  /** Where it was judged, in the order in which it came by; the last one decided when it is not allowed. */
  judgements: Judgement[];
}

type MatchRemote = (address: Address, machine: FirewallMachine | undefined) => boolean;

/** One rule in one direction, made ready to be asked. */
interface Ready {
  owned: OwnedRule;
  local: Target[];
  remote: MatchRemote[];
}

const directions = ['in', 'out'] as const;

export class Policy {
  readonly #byAddress: ReadonlyMap<string, FirewallMachine>;
  readonly #rules: readonly OwnedRule[];
  /** By account and direction, in the order in which they decide. */
  readonly #ready = new Map<string, Record<Direction, Ready[]>>();

  constructor(rules: Iterable<OwnedRule>, machines: Iterable<FirewallMachine>) {
    this.#rules = [...rules];
    this.#byAddress = new Map(Array.from(machines, (machine) => addressesOf(machine).map((address) => [address, machine] as const)).flat());
  }

  judge(packet: Packet): Verdict {
    const judgements: Judgement[] = [];
    for (const [direction, local, remote] of [
      ['out', packet.from, packet.to],
      ['in', packet.to, packet.from],
    ] as const) {
      const machine = this.#byAddress.get(local);
      if (machine?.firewall !== true) continue;
      const judgement = this.#judgeAt(machine, direction, remote, packet.service);
      judgements.push(judgement);
      if (judgement.action === 'block') return { allowed: false, judgements };
    }
    return { allowed: true, judgements };
  }

  #judgeAt(machine: FirewallMachine, direction: Direction, remote: string, service: PacketService): Judgement {
    const address = parseAddress(remote);
    const peer = this.#byAddress.get(remote);
    const decides = this.#rulesOf(machine.account)[direction].find(
      (ready) =>
        address !== undefined &&
        serves(ready.owned.rule.service, service) &&
        ready.local.some((target) => namesMachine(target, machine)) &&
        ready.remote.some((matches) => matches(address, peer)),
    );
    return { machine: machine.id, direction, action: decides?.owned.rule.action ?? defaultAction[direction], rule: decides?.owned.id ?? null };
  }

  #rulesOf(account: string): Record<Direction, Ready[]> {
    const known = this.#ready.get(account);
    if (known !== undefined) return known;
    const about = this.#rules.filter((owned) => isAbout(owned, { account }));
    const made = Object.fromEntries(directions.map((direction) => [direction, inOrder(about, direction)])) as Record<Direction, Ready[]>;
    this.#ready.set(account, made);
    return made;
  }
}

/** Those that some machine may apply in this direction; ids settle what nothing else does, so that the answer is always the same. */
const inOrder = (rules: readonly OwnedRule[], direction: Direction): Ready[] =>
  rules
    .map((owned) => ({ owned, ...sidesOf(owned.rule, direction) }))
    .filter(({ local }) => local.some(isMachineTarget))
    .map(({ owned, local, remote }) => ({ owned, local: local.filter(isMachineTarget), remote: remote.map((target) => matchRemote(owned, target)) }))
    .toSorted((one, other) => precedence(one.owned.rule, direction) - precedence(other.owned.rule, direction) || (one.owned.id < other.owned.id ? -1 : 1));

/** Lower comes first. */
export const precedence = ({ priority, action }: { priority: number; action: Action }, direction: Direction): number =>
  (100 - priority) * 2 + (action === winsAtEqualPriority[direction] ? 0 : 1);

/** The addresses that a target stands for by itself. */
export const cidrOf = (target: Target): Cidr | undefined => {
  if (target.kind === 'subnet') return parseSubnet(target.subnet);
  return target.kind === 'ip' ? wholeAddress(parseAddress(target.address)!) : undefined;
};

const matchRemote = (owned: OwnedRule, target: Target): MatchRemote => {
  if (target.kind === 'any') return () => true;
  const cidr = cidrOf(target);
  if (cidr !== undefined) return (address) => contains(cidr, address);
  return (_address, machine) => machine !== undefined && isAbout(owned, machine) && namesMachine(target, machine);
};

const serves = (service: Service, packet: PacketService): boolean => {
  if (service.protocol !== packet.protocol) return false;
  if ('ports' in service && 'port' in packet) return service.ports === 'all' || service.ports.some(({ from, to }) => from <= packet.port && packet.port <= to);
  if ('types' in service && 'type' in packet)
    return service.types === 'all' || service.types.some(({ type, code }) => type === packet.type && (code === null || code === packet.code));
  return true;
};
