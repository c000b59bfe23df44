/**
 * Public networks that are on a wire, at a device of the host, perhaps with a tag: the host answers ARP there for each of their addresses that
 * is in use here, and sends what comes from them by the gateway there instead of by its own way out. A wire is laid with the first such address
 * and goes some time after the last; who has none pays nothing. All of it is the kernel's, and found there again: rules of routing with a
 * priority and tables of the instance's own, neighbours and routes with our mark, links for tags by their names.
 */
import { messageChain } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { SerialQueue } from '../../base/serial-queue.ts';
import type { WireStatus, WiredSubnet } from '../../model/network.ts';
import { overlaps, parseDestination, placeOf } from '../../model/subnet.ts';
import type { Destination } from '../../model/subnet.ts';
import { NetlinkError, NetlinkSocket, demand, netlinkProtocols } from '../../sys/netlink.ts';
import type { NetlinkRequest } from '../../sys/netlink.ts';
import { Nftables } from '../../sys/nftables.ts';
import { announce } from './announce.ts';
import { mainTable } from './route-messages.ts';
import { findDevice, layLink, leaveDevice, removeLinksBut } from './wire-links.ts';
import type { FoundDevice, SourceRule } from './wire-messages.ts';
import * as message from './wire-messages.ts';
import { wireRuleset } from './wire-ruleset.ts';

export interface WiresOptions {
  instance: string;
  instanceNumber: number;
  logger: Logger;
  /** How long one stays after its last address. */
  lingerMs?: number | undefined;
  /** How often it is looked whether all is there. */
  lookMs?: number | undefined;
}

/** What is known of a subnet on a wire. */
interface Known {
  wired: WiredSubnet;
  destination: Destination;
}

interface Wire extends Known {
  /** Which of the instance's tables is its own. */
  slot: number;
  /** Null: it is not as it should be, and tried again. */
  link: FoundDevice | null;
  lacks: string | null;
  /** In use here. */
  addresses: Set<string>;
  /** Of the external network, seen outside as one of them. */
  sources: Set<string>;
  closing: NodeJS.Timeout | undefined;
}

const usualLingerMs = 60_000;
const usualLookMs = 10_000;
const mostWaiting = 100_000;
const tablesOfOne = 1024;
const firstTable = 0x6300_0000;
/** Of an instance two, below the host's own main table: the first asks that one for all but its way out. */
const firstPriority = 10_000;
const gone = ['ENOENT', 'ENODEV', 'ESRCH', 'EADDRNOTAVAIL'] as const;

export class Wires {
  readonly #options: WiresOptions;
  readonly #socket = new NetlinkSocket(netlinkProtocols.route);
  readonly #queue = new SerialQueue(mostWaiting);
  #known: Known[] = [];
  /** By their subnets. */
  readonly #wires = new Map<string, Wire>();
  /** Which wire each source goes by. */
  readonly #bySource = new Map<string, Wire>();
  #timer: NodeJS.Timeout | undefined;
  /** Rules for packets are there. */
  #isLoaded = false;

  constructor(options: WiresOptions) {
    this.#options = options;
  }

  /** What a subnet that machines share is on: a wire, or none. Subnets that were at its addresses before are no more. */
  know(subnet: string, wired: WiredSubnet | null): void {
    const destination = parseDestination('subnet', subnet);
    this.#known = this.#known.filter((one) => !overlaps(one.destination, destination));
    if (wired !== null) this.#known.push({ wired, destination });
  }

  /** These are in use here; those that are on no wire are nothing to this. */
  async add(addresses: readonly string[]): Promise<void> {
    for (const [known, own] of this.#byKnown(addresses)) await this.#queue.run(() => this.#add(known, own));
  }

  async remove(addresses: readonly string[]): Promise<void> {
    if (this.#wires.size > 0) await this.#queue.run(() => this.#remove(addresses));
  }

  /** What comes from the external network's address is seen outside as the other, and so leaves by that one's wire. */
  async seenAs(source: string, address: string | undefined): Promise<void> {
    const known = address === undefined ? undefined : this.#knownOf(address);
    if (known === undefined && this.#bySource.size === 0) return;
    await this.#queue.run(() => this.#seenAs(source, known));
  }

  /** Exactly these are in use; what an earlier agent has left of others goes. One that cannot be laid is tried again. */
  async restore(addresses: readonly string[], seen: ReadonlyMap<string, string>): Promise<void> {
    await this.#queue.run(async () => {
      const slots = new Map((await this.#ownRules()).flatMap(({ kind, source, table }) => (kind === 'wire' ? [[source.cidr, slotOf(table)]] : [])));
      for (const [known, own] of this.#byKnown(addresses)) for (const one of own) this.#wireOf(known, slots).addresses.add(one);
      for (const [source, address] of seen) {
        const known = this.#knownOf(address);
        if (known !== undefined) this.#connectSource(source, this.#wireOf(known, slots));
      }
      for (const wire of this.#wires.values()) await this.#tryToLay(wire);
      await this.#sweep();
    });
  }

  status(): WireStatus[] {
    return [...this.#wires.values()].filter(isUsed).map(({ wired: { subnet, device, tag }, lacks }) => ({
      subnet,
      device,
      ...(tag === undefined ? {} : { tag }),
      lacks,
    }));
  }

  async close({ remove }: { remove: boolean }): Promise<void> {
    clearInterval(this.#timer);
    for (const { closing } of this.#wires.values()) clearTimeout(closing);
    if (remove) {
      await this.#queue.run(() => {
        const links = new Set(Array.from(this.#wires.values(), ({ link }) => link?.name));
        this.#wires.clear();
        for (const name of links) if (name !== undefined) leaveDevice(name);
        return this.#sweep();
      });
    }
    await this.#queue.run(async () => this.#socket[Symbol.dispose]());
  }

  #knownOf(address: string): Known | undefined {
    return this.#known.find(({ destination }) => placeOf(destination, address) !== null);
  }

  #byKnown(addresses: readonly string[]): Map<Known, string[]> {
    const found = new Map<Known, string[]>();
    if (this.#known.length === 0) return found;
    for (const address of addresses) {
      const known = this.#knownOf(address);
      if (known !== undefined) found.set(known, [...(found.get(known) ?? []), address]);
    }
    return found;
  }

  async #add(known: Known, addresses: readonly string[]): Promise<void> {
    const wire = await this.#demand(known);
    const hadSpeaker = wire.addresses.size > 0;
    for (const address of addresses) wire.addresses.add(address);
    try {
      if (wire.link === null) return await this.#lay(wire);
      const { index } = wire.link;
      await this.#send(
        `answer for ${addresses.join(', ')} on ${wire.link.name}`,
        addresses.map((address) => message.addProxy(index, address)),
      );
      if (!hadSpeaker) this.#loadRules();
      announce(wire.link, addresses, this.#options.logger);
    } catch (error) {
      for (const address of addresses) wire.addresses.delete(address);
      await this.#withdraw(wire, addresses);
      throw error;
    }
  }

  async #remove(addresses: readonly string[]): Promise<void> {
    for (const wire of this.#wires.values()) {
      const speaker = speakerOf(wire);
      const own = addresses.filter((address) => wire.addresses.delete(address));
      if (own.length === 0) continue;
      await this.#withdraw(wire, own);
      if (speakerOf(wire) !== speaker) this.#loadRules();
    }
  }

  async #withdraw(wire: Wire, addresses: readonly string[]): Promise<void> {
    const { link } = wire;
    const requests = link === null ? [] : addresses.map((address) => message.deleteProxy(link.index, address));
    await this.#send('answer no more', requests, ...gone);
    this.#leave(wire);
  }

  async #seenAs(source: string, known: Known | undefined): Promise<void> {
    const former = this.#bySource.get(source);
    const wire = known === undefined ? undefined : await this.#demand(known);
    if (former === wire) return;
    this.#connectSource(source, wire);
    try {
      if (wire?.link === null) await this.#lay(wire);
      else if (wire !== undefined) await this.#send(`route what comes from ${source}`, this.#rulesFor(wire, [source]).map(message.addRule), 'EEXIST');
    } catch (error) {
      this.#connectSource(source, former);
      if (wire !== undefined) this.#leave(wire);
      throw error;
    }
    if (former === undefined) return;
    // The first of the two is the same whatever the wire.
    const rules = this.#rulesFor(former, [source]).filter(({ kind }) => wire === undefined || kind === 'wire');
    await this.#send(`route what comes from ${source}`, rules.map(message.deleteRule), ...gone);
    this.#leave(former);
  }

  #connectSource(source: string, wire: Wire | undefined): void {
    this.#bySource.get(source)?.sources.delete(source);
    if (wire === undefined) this.#bySource.delete(source);
    else this.#bySource.set(source, wire);
    wire?.sources.add(source);
  }

  async #demand(known: Known): Promise<Wire> {
    const former = this.#wires.get(known.destination.cidr);
    // One that is as it was is taken; what is left of a network that is no more is not waited for.
    const stale = [...this.#wires.values()].filter((one) => !isUsed(one) && overlaps(one.destination, known.destination) && !isSame(one, known));
    for (const wire of stale) await this.#take(wire);
    const wire = former === undefined || stale.includes(former) ? this.#wireOf(known, new Map()) : former;
    clearTimeout(wire.closing);
    return wire;
  }

  #wireOf(known: Known, slots: ReadonlyMap<string, number>): Wire {
    const { cidr } = known.destination;
    const there = this.#wires.get(cidr);
    if (there !== undefined) return there;
    const taken = new Set([...slots.values(), ...Array.from(this.#wires.values(), ({ slot }) => slot)]);
    let slot = slots.get(cidr) ?? 0;
    while (!slots.has(cidr) && taken.has(slot)) slot += 1;
    const wire: Wire = { ...known, slot, link: null, lacks: null, addresses: new Set(), sources: new Set(), closing: undefined };
    this.#wires.set(cidr, wire);
    this.#timer ??= setInterval(() => void this.#lookAfterAll(), this.#options.lookMs ?? usualLookMs).unref();
    return wire;
  }

  /** Everything of it, or what is missing; the same again is harmless. */
  async #lay(wire: Wire): Promise<void> {
    const { wired, destination, addresses, sources } = wire;
    wire.link = null;
    const link = await layLink(this.#socket, this.#options.instanceNumber, wired);
    await this.#send(`route what comes from ${wired.subnet}`, this.#rulesFor(wire, [destination.cidr, ...sources]).map(message.addRule), 'EEXIST');
    await this.#send(
      `lead by the gateway ${wired.gateway} on ${link.name}`,
      message.addWireRoutes(this.#tableOf(wire), link.index, destination, wired.gateway),
    );
    await this.#send(
      `answer on ${link.name}`,
      Array.from(addresses, (address) => message.addProxy(link.index, address)),
    );
    wire.link = link;
    this.#loadRules();
    announce(link, [...addresses], this.#options.logger);
  }

  async #tryToLay(wire: Wire): Promise<void> {
    const former = wire.lacks;
    const { subnet, device } = wire.wired;
    try {
      await this.#lay(wire);
      wire.lacks = null;
      if (former !== null) this.#options.logger.info({ subnet, device }, 'a public network is on its wire again');
    } catch (error) {
      wire.lacks = messageChain(error);
      if (wire.lacks !== former) this.#options.logger.error({ err: error, subnet, device }, 'a public network is not on its wire; it is tried again');
    }
  }

  /** What the kernel did not answer it is asked the next time. */
  async #lookAfterAll(): Promise<void> {
    try {
      await this.#queue.run(() => this.#look());
    } catch (error) {
      this.#options.logger.error({ err: error }, 'it could not be seen whether all is on its wire; it is looked at again');
    }
  }

  /** A device that went down, or away, has taken routes and neighbours with it. */
  async #look(): Promise<void> {
    for (const wire of this.#wires.values()) {
      const device = wire.link === null ? null : await findDevice(this.#socket, wire.link.name);
      const isThere =
        device !== null &&
        device.index === wire.link?.index &&
        (await this.#tableRoutes(wire.slot)).some((body) => message.leadsEverywhereBy(body) === device.index);
      if (!isThere && isUsed(wire)) await this.#tryToLay(wire);
    }
  }

  #leave(wire: Wire): void {
    if (isUsed(wire)) return;
    clearTimeout(wire.closing);
    const take = () => this.#queue.run(() => this.#take(wire));
    const failed = (error: unknown) => this.#options.logger.error({ err: error, subnet: wire.wired.subnet }, 'a wire that nobody uses could not be removed');
    wire.closing = setTimeout(() => void take().catch(failed), this.#options.lingerMs ?? usualLingerMs).unref();
  }

  async #take(wire: Wire): Promise<void> {
    if (isUsed(wire) || this.#wires.get(wire.destination.cidr) !== wire) return;
    this.#wires.delete(wire.destination.cidr);
    clearTimeout(wire.closing);
    const { link } = wire;
    if (link !== null && ![...this.#wires.values()].some((one) => one.link?.index === link.index)) leaveDevice(link.name);
    await this.#sweep();
  }

  /** What is this instance's in the kernel, and of no wire that there is, goes: what it is found by at the end. */
  async #sweep(): Promise<void> {
    const wires = [...this.#wires.values()];
    if (wires.length === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    const rules = await this.#ownRules();
    if (this.#isLoaded || rules.length > 0) this.#loadRules();
    const answered = new Set(wires.flatMap(({ link, addresses }) => (link === null ? [] : Array.from(addresses, (address) => `${link.index} ${address}`))));
    const proxies = (rules.length === 0 ? [] : await this.#socket.dump(message.listProxies())).flatMap(({ body }) => message.parseProxy(body) ?? []);
    const lost = proxies.filter(({ index, address }) => !answered.has(`${index} ${address}`) && rules.some(({ source }) => placeOf(source, address) !== null));
    await this.#send(
      'answer no more',
      lost.map(({ index, address }) => message.deleteProxy(index, address)),
      ...gone,
    );
    const slots = rules.flatMap(({ kind, table }) => (kind === 'wire' ? [slotOf(table)] : []));
    const tables = new Set(slots).difference(new Set(wires.map(({ slot }) => slot)));
    for (const slot of tables) await this.#send('remove routes', (await this.#tableRoutes(slot)).map(message.deleteFoundRoute), ...gone);
    const wanted = new Set(wires.flatMap((wire) => this.#rulesFor(wire, [wire.destination.cidr, ...wire.sources])).map(ruleKey));
    await this.#send('remove rules', rules.filter((rule) => !wanted.has(ruleKey(rule))).map(message.deleteRule), ...gone);
    await removeLinksBut(
      this.#socket,
      this.#options.instanceNumber,
      wires.flatMap(({ link }) => link?.index ?? []),
    );
  }

  #loadRules(): void {
    const laid = [...this.#wires.values()].flatMap((wire) =>
      wire.link === null ? [] : { link: wire.link.name, subnet: wire.wired.subnet, speaker: speakerOf(wire) },
    );
    using nftables = new Nftables();
    nftables.run(wireRuleset(this.#options.instance, laid));
    this.#isLoaded = laid.length > 0;
  }

  /** Of its subnet, and of sources that are seen as of it. The host may have an address of the subnet itself, and goes its own way as before. */
  #rulesFor(wire: Wire, sources: readonly string[]): SourceRule[] {
    const priority = this.#priority;
    const near = { priority, table: mainTable } as const;
    return sources.flatMap((text): SourceRule[] => {
      const source = parseDestination('source', text.includes('/') ? text : `${text}/32`);
      return [
        ...(source.cidr === wire.destination.cidr ? [{ ...near, source, kind: 'own' } as const] : []),
        { ...near, source, kind: 'near' },
        { source, kind: 'wire', priority: priority + 1, table: this.#tableOf(wire) },
      ];
    });
  }

  async #ownRules(): Promise<SourceRule[]> {
    const found = (await this.#socket.dump(message.listRules())).flatMap(({ body }) => message.parseRule(body) ?? []);
    return found.filter(({ priority }) => priority === this.#priority || priority === this.#priority + 1);
  }

  get #priority(): number {
    return firstPriority + 2 * this.#options.instanceNumber;
  }

  #tableOf({ slot }: Pick<Wire, 'slot'>): number {
    return firstTable + this.#options.instanceNumber * tablesOfOne + slot;
  }

  async #tableRoutes(slot: number): Promise<Buffer[]> {
    try {
      return (await this.#socket.dump(message.listTable(this.#tableOf({ slot })))).map(({ body }) => body);
    } catch (error) {
      if (error instanceof NetlinkError && error.code === 'ENOENT') return []; // no such table: nothing was ever in it
      throw error;
    }
  }

  async #send(what: string, requests: NetlinkRequest[], ...harmless: string[]): Promise<void> {
    demand(what, await this.#socket.send(requests), ...harmless);
  }
}

const slotOf = (table: number): number => (table - firstTable) % tablesOfOne;
const isUsed = ({ addresses, sources }: Wire): boolean => addresses.size + sources.size > 0;
const speakerOf = ({ addresses }: Wire): string | undefined => addresses.values().next().value;
const ruleKey = ({ source, kind, table }: SourceRule): string => `${kind} ${source.cidr} ${table}`;

const isSame = (one: Known, other: Known): boolean => (['subnet', 'gateway', 'device', 'tag'] as const).every((what) => one.wired[what] === other.wired[what]);
