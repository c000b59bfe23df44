/**
 * Known flows (conntrack entries). The kernel decides about a flow when it begins; when an address or a port changes hands, what
 * began before must be forgotten, or the old peer's packets would go on to the new owner.
 *
 * Finding flows means walking the kernel's whole table (12 ms on a large host, however few there are), so what is to be
 * forgotten is gathered, and one walk on a thread serves all of it.
 */
import type { Logger } from '../../base/logger.ts';
import type { PublishedPort } from '../../model/machine.ts';
import type { Family } from '../../model/address.ts';
import { NetlinkSocket, demand, netlinkProtocols, parseAttributes } from '../../sys/netlink.ts';
import type { NetlinkRequest } from '../../sys/netlink.ts';
import { inNetworkNamespace } from '../../sys/netns.ts';
import type { Subnet } from '../../model/subnet.ts';
import { flowReader, keyOf, keysWithin } from './flow-entry.ts';
import type { AddressKey, BegunFlow, Flow, FlowReader } from './flow-entry.ts';

const conntrack = 1 << 8;
const verbs = { get: conntrack | 1, delete: conntrack | 2, getSize: conntrack | 5 } as const;
const sizeAttributes = { known: 1, most: 2 } as const;
const protocolNumbers = { tcp: 6, udp: 17 } as const;
/** Nothing waits for what is gathered but who wants an address again, and he has it at once: so it may become much. */
const gatherMs = 1000;
/** A walk is through the table of the whole host, whichever namespace asks: with many of them, each asks seldom. */
const gatherElsewhereMs = 10_000;
const deleteAtOnce = 512;

/** Flows that a firewall would not let begin now. */
export interface FlowCensor {
  /** Addresses at which it judges. */
  guarded: ReadonlySet<AddressKey>;
  isRefused: (flow: BegunFlow) => boolean;
  /** Told before they are forgotten. */
  refused: (flows: readonly BegunFlow[]) => void;
}

/** What one walk forgets. */
class Forgotten {
  /** Every flow that an address began or received. Each with the machine that had it. */
  readonly addresses = new Map<AddressKey, string>();
  /** Flows that came to an address by a port that is no longer published. */
  readonly translated = new Set<string>();
  /** Flows to a floating address, and those seen under it. */
  readonly floating = new Set<AddressKey>();
  /** Flows to a port of the host that began before it was published. */
  readonly untranslated = new Set<number>();

  /** Every flow of the addresses that this names. */
  others: ((address: AddressKey) => boolean) | undefined;

  censor: FlowCensor | undefined;
  readonly censored: BegunFlow[] = [];

  get empty(): boolean {
    const { addresses, translated, floating, untranslated } = this;
    return this.others === undefined && this.censor === undefined && addresses.size + translated.size + floating.size + untranslated.size === 0;
  }

  has(flow: Flow): boolean {
    if (this.addresses.has(flow.source) || this.addresses.has(flow.answerer)) return true;
    if (this.others?.(flow.source) === true || this.others?.(flow.answerer) === true) return true;
    if (this.floating.has(flow.target) || this.floating.has(flow.seenAs)) return true;
    if (this.#isCensored(flow)) return true;
    const port = portKey(flow.protocol, flow.port);
    return this.translated.has(`${flow.answerer} ${port}`) || (this.untranslated.has(port) && !flow.translated());
  }

  #isCensored(flow: Flow): boolean {
    const { censor } = this;
    if (censor === undefined || !(censor.guarded.has(flow.source) || censor.guarded.has(flow.answerer))) return false;
    const begun = flow.begun();
    if (!censor.isRefused(begun)) return false;
    this.censored.push(begun);
    return true;
  }
}

export class ConntrackFlows {
  readonly #socket: NetlinkSocket;
  readonly #logger: Logger;
  readonly #isElsewhere: boolean;
  readonly #onCut: (() => void) | undefined;
  readonly #reader: FlowReader;
  #gathered = new Forgotten();
  #walking = new Forgotten();
  #walk: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  /** `netnsFd`: of another namespace than this process's own. `onCut`: when flows have been forgotten. */
  constructor(logger: Logger, family: Family, netnsFd?: number, onCut?: () => void) {
    const open = () => new NetlinkSocket(netlinkProtocols.netfilter);
    this.#socket = netnsFd === undefined ? open() : inNetworkNamespace(netnsFd, open);
    this.#logger = logger;
    this.#isElsewhere = netnsFd !== undefined;
    this.#onCut = onCut;
    this.#reader = flowReader(family);
  }

  /** How many there are in this namespace, of both families, and how many there may be. */
  async size(): Promise<{ known: number; most: number }> {
    const outcomes = await this.#socket.send([{ type: verbs.getSize, flags: 0, body: this.#reader.header }]);
    demand('ask for the number of flows', outcomes);
    const found = parseAttributes(outcomes[0]!.messages[0]!.body.subarray(4));
    const numberOf = (attribute: number): number => found.get(attribute)?.readUInt32BE(0) ?? 0;
    return { known: numberOf(sizeAttributes.known), most: numberOf(sizeAttributes.most) };
  }

  /** Each flow of the family, as it stands until `visit` returns. */
  async survey(visit: (flow: Flow) => void): Promise<void> {
    await this.#socket.scan({ type: verbs.get, flags: 0, body: this.#reader.header }, ({ body }) => {
      const flow = this.#reader.read(body);
      if (flow !== undefined) visit(flow);
    });
  }

  /** Forgets those; `onFound` is called when they are known, before any is. */
  async cut(isDoomed: (flow: Flow) => boolean, onFound?: () => void): Promise<void> {
    const requests: NetlinkRequest[] = [];
    await this.survey((flow) => {
      if (isDoomed(flow)) requests.push({ type: verbs.delete, flags: 0, body: flow.name() });
    });
    onFound?.();
    for (let at = 0; at < requests.length; at += deleteAtOnce) demand('forget flows', await this.#socket.send(requests.slice(at, at + deleteAtOnce)), 'ENOENT');
    if (requests.length > 0) this.#onCut?.();
  }

  /** A machine has left its address. */
  left(address: string, machine: string): void {
    this.#gathered.addresses.set(keyOf(address), machine);
    this.#later();
  }

  /** Resolves when the address may be had by this machine: nothing of another one's flows is left. */
  async settled(address: string, machine: string): Promise<void> {
    const key = keyOf(address);
    // The same machine, started again: its flows are its own, and a walk that came later would cut its new ones.
    if (this.#gathered.addresses.get(key) === machine) this.#gathered.addresses.delete(key);
    if (this.#gathered.addresses.has(key) || this.#gathered.others?.(key) === true) await this.#flush();
    else if (this.#walking.addresses.has(key)) await this.#walk;
  }

  /** A client that keeps sending datagrams to a port would go on reaching the host after it has been published. */
  published(ports: readonly PublishedPort[]): void {
    for (const port of ports) if (port.protocol === 'udp') this.#gathered.untranslated.add(portKey(protocolNumbers.udp, port.hostPort));
    if (this.#gathered.untranslated.size > 0) void this.#flush();
  }

  async unpublished(address: string, ports: readonly PublishedPort[]): Promise<void> {
    for (const port of ports) this.#gathered.translated.add(`${keyOf(address)} ${portKey(protocolNumbers[port.protocol], port.hostPort)}`);
    if (ports.length > 0) await this.#flush();
  }

  /** A floating address has gone to another. */
  async floated(address: string): Promise<void> {
    this.#gathered.floating.add(keyOf(address));
    await this.#flush();
  }

  /** The rules have changed: what they would not let begin now does not go on either. */
  async censor(guarded: Iterable<string>, verdict: Omit<FlowCensor, 'guarded'>): Promise<void> {
    this.#gathered.censor = { guarded: new Set(Array.from(guarded, keyOf)), ...verdict };
    await this.#flush();
  }

  /** After a restart: flows of the subnet's other addresses are those of machines that have gone unseen. */
  async keepOnly(subnet: Subnet, addresses: readonly string[]): Promise<void> {
    const kept = new Set([subnet.gateway, ...addresses].map(keyOf));
    const isOfSubnet = keysWithin(subnet);
    this.#gathered.others = (address) => isOfSubnet(address) && !kept.has(address);
    if (this.#isElsewhere) this.#later();
    else await this.#flush();
  }

  /** What is gathered of another namespace is forgotten by the next who looks at it, if there is one. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await (this.#isElsewhere ? this.#walk : this.#flush());
    this.#socket[Symbol.dispose]();
  }

  #later(): void {
    this.#timer ??= setTimeout(() => void this.#flush(), this.#isElsewhere ? gatherElsewhereMs : gatherMs).unref();
  }

  /** Forgets all that is gathered by now. Walks follow each other, so the last one is the one to wait for. */
  #flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#walk = this.#walk.then(async () => {
      if (this.#gathered.empty) return;
      const what = this.#gathered;
      this.#walking = what;
      this.#gathered = new Forgotten();
      try {
        await this.#forget(what);
      } catch (error) {
        this.#logger.error({ err: error }, 'old flows could not be forgotten');
      } finally {
        this.#walking = new Forgotten();
      }
    });
    return this.#walk;
  }

  async #forget(what: Forgotten): Promise<void> {
    await this.cut(
      (flow) => what.has(flow),
      () => {
        if (what.censored.length > 0) what.censor?.refused(what.censored);
      },
    );
  }
}

const portKey = (protocol: number, port: number): number => protocol * 65_536 + port;
