/**
 * Known flows (conntrack entries). The kernel decides about a flow when it begins; when an address or a port changes hands, what
 * began before must be forgotten, or the old peer's packets would go on to the new owner.
 *
 * Finding flows means walking the kernel's whole table (12 ms on a large host, however few there are), so what is to be
 * forgotten is gathered, and one walk on a thread serves all of it.
 */
import type { Logger } from '../../base/logger.ts';
import type { PublishedPort } from '../../model/machine.ts';
import { NetlinkSocket, align4, attribute, demand, nested, netlinkProtocols, parseAttributes } from '../../sys/netlink.ts';
import type { NetlinkRequest } from '../../sys/netlink.ts';
import { inNetworkNamespace } from '../../sys/netns.ts';
import { addressFromNumber, addressToNumber } from '../../model/subnet.ts';
import type { Subnet } from '../../model/subnet.ts';

const conntrack = 1 << 8;
const verbs = { get: conntrack | 1, delete: conntrack | 2 } as const;
const attributes = { original: 1, status: 3, id: 12 } as const;
const protocolNumbers = { tcp: 6, udp: 17 } as const;
const statusTranslated = 0x30;
const header = Buffer.from([2, 0, 0, 0]);
const gatherMs = 100;
/** A walk is through the table of the whole host, whichever namespace asks: with many of them, each asks seldom. Nothing waits for it but who wants an address again. */
const gatherElsewhereMs = 10_000;
const deleteAtOnce = 512;

/** A flow as a firewall judges it: how it was begun, and who answers behind any translation. */
export interface BegunFlow {
  from: string;
  to: string;
  /** As IP numbers it. */
  protocol: number;
  /** Where it was begun, the port it was begun to, and the one that answers. */
  sourcePort: number;
  port: number;
  answeringPort: number;
  /** Of ICMP. */
  type: number;
  code: number;
}

/** Flows that a firewall would not let begin now. */
export interface FlowCensor {
  /** Addresses at which it judges. */
  guarded: ReadonlySet<number>;
  isRefused: (flow: BegunFlow) => boolean;
  /** Told before they are forgotten. */
  refused: (flows: readonly BegunFlow[]) => void;
}

/** What one walk forgets. */
class Forgotten {
  /** Every flow that an address began or received. Each with the machine that had it. */
  readonly addresses = new Map<number, string>();
  /** Flows that came to an address by a port that is no longer published. */
  readonly translated = new Set<string>();
  /** Flows to a floating address, and those seen under it. */
  readonly floating = new Set<number>();
  /** Flows to a port of the host that began before it was published. */
  readonly untranslated = new Set<number>();

  /** Every flow of the addresses that this names. */
  others: ((address: number) => boolean) | undefined;

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
  #gathered = new Forgotten();
  #walking = new Forgotten();
  #walk: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  /** `netnsFd`: of another namespace than this process's own. */
  constructor(logger: Logger, netnsFd?: number) {
    const open = () => new NetlinkSocket(netlinkProtocols.netfilter);
    this.#socket = netnsFd === undefined ? open() : inNetworkNamespace(netnsFd, open);
    this.#logger = logger;
    this.#isElsewhere = netnsFd !== undefined;
  }

  /** A machine has left its address. */
  left(address: string, machine: string): void {
    this.#gathered.addresses.set(addressToNumber(address), machine);
    this.#later();
  }

  /** Resolves when the address may be had by this machine: nothing of another one's flows is left. */
  async settled(address: string, machine: string): Promise<void> {
    const number = addressToNumber(address);
    // The same machine, started again: its flows are its own, and a walk that came later would cut its new ones.
    if (this.#gathered.addresses.get(number) === machine) this.#gathered.addresses.delete(number);
    if (this.#gathered.addresses.has(number) || this.#gathered.others?.(number) === true) await this.#flush();
    else if (this.#walking.addresses.has(number)) await this.#walk;
  }

  /** A client that keeps sending datagrams to a port would go on reaching the host after it has been published. */
  published(ports: readonly PublishedPort[]): void {
    for (const port of ports) if (port.protocol === 'udp') this.#gathered.untranslated.add(portKey(protocolNumbers.udp, port.hostPort));
    if (this.#gathered.untranslated.size > 0) void this.#flush();
  }

  async unpublished(address: string, ports: readonly PublishedPort[]): Promise<void> {
    for (const port of ports) this.#gathered.translated.add(`${addressToNumber(address)} ${portKey(protocolNumbers[port.protocol], port.hostPort)}`);
    if (ports.length > 0) await this.#flush();
  }

  /** A floating address has gone to another. */
  async floated(address: string): Promise<void> {
    this.#gathered.floating.add(addressToNumber(address));
    await this.#flush();
  }

  /** The rules have changed: what they would not let begin now does not go on either. */
  async censor(guarded: Iterable<string>, verdict: Omit<FlowCensor, 'guarded'>): Promise<void> {
    this.#gathered.censor = { guarded: new Set(Array.from(guarded, addressToNumber)), ...verdict };
    await this.#flush();
  }

  /** After a restart: flows of the subnet's other addresses are those of machines that have gone unseen. */
  async keepOnly(subnet: Subnet, addresses: readonly string[]): Promise<void> {
    const kept = new Set([subnet.gateway, ...addresses].map(addressToNumber));
    this.#gathered.others = (address) => address >= subnet.first && address < subnet.first + subnet.size && !kept.has(address);
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
    const requests: NetlinkRequest[] = [];
    await this.#socket.scan({ type: verbs.get, flags: 0, body: header }, ({ body }) => {
      const flow = parseFlow(body);
      if (flow !== undefined && what.has(flow)) requests.push({ type: verbs.delete, flags: 0, body: flow.name() });
    });
    if (what.censored.length > 0) what.censor?.refused(what.censored);
    for (let at = 0; at < requests.length; at += deleteAtOnce) demand('forget flows', await this.#socket.send(requests.slice(at, at + deleteAtOnce)), 'ENOENT');
  }
}

const portKey = (protocol: number, port: number): number => protocol * 65_536 + port;

interface Flow {
  /** Who began it. */
  source: number;
  /** Where it was begun to. */
  target: number;
  /** Who answers, behind any translation. */
  answerer: number;
  /** Whom it is answered to, behind any. */
  seenAs: number;
  protocol: number;
  /** The port it was begun to. */
  port: number;
  translated(): boolean;
  begun(): BegunFlow;
  /** What a request to delete it must hold. */
  name(): Buffer;
}

/**
 * One entry of the table. Both tuples come first, always in the same form (address pair, then protocol and ports), and are read
 * where they stand: the table may hold hundreds of thousands.
 */
const parseFlow = (body: Buffer): Flow | undefined => {
  if (body.length < 48 || body[0] !== header[0]) return undefined;
  const original = 4;
  const reply = original + align4(body.readUInt16LE(original));
  if (reply + 24 > body.length) return undefined;
  const protocolPart = original + 8 + align4(body.readUInt16LE(original + 4)) - 4;
  const hasPorts = protocolPart + 28 <= reply;
  const replyProtocolPart = reply + 8 + align4(body.readUInt16LE(reply + 4)) - 4;
  const byteAt = (at: number, end: number): number => (at < end ? body[at]! : 0);
  return {
    source: body.readUInt32BE(original + 12),
    target: body.readUInt32BE(original + 20),
    answerer: body.readUInt32BE(reply + 12),
    seenAs: body.readUInt32BE(reply + 20),
    protocol: hasPorts ? body[protocolPart + 8]! : 0,
    port: hasPorts ? body.readUInt16BE(protocolPart + 24) : 0,
    translated: () => ((parseAttributes(body.subarray(4)).get(attributes.status)?.readUInt32BE(0) ?? 0) & statusTranslated) !== 0,
    begun: () => ({
      from: addressFromNumber(body.readUInt32BE(original + 12)),
      to: addressFromNumber(body.readUInt32BE(reply + 12)),
      protocol: byteAt(protocolPart + 8, reply),
      sourcePort: hasPorts ? body.readUInt16BE(protocolPart + 16) : 0,
      port: hasPorts ? body.readUInt16BE(protocolPart + 24) : 0,
      answeringPort: hasPorts && replyProtocolPart + 18 <= body.length ? body.readUInt16BE(replyProtocolPart + 16) : 0,
      type: byteAt(protocolPart + 24, reply),
      code: byteAt(protocolPart + 32, reply),
    }),
    name: () => {
      const found = parseAttributes(body.subarray(4));
      return Buffer.concat([header, nested(attributes.original, found.get(attributes.original)!), attribute(attributes.id, found.get(attributes.id)!)]);
    },
  };
};
