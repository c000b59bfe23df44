/**
 * What each slot is on one network: prepared, connected to an address with published ports, or gone. Links, rules and flows change together
 * here, in the order in which no packet can go where it must not: a link is able before it is allowed, and forbidden before it
 * is dismantled.
 */
import { CenoteError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { PublishedPort } from '../../model/machine.ts';
import type { NetworkRoutes } from '../../model/network.ts';
import { closeFd, openFd, openFlags } from '../../sys/libc.ts';
import { NftablesError } from '../../sys/nftables.ts';
import type { NftRunner } from '../../sys/nftables.ts';
import { checkAttachment, checkSlot, difference, furtherOf, insideOf, interfaceName, keyOf, samePort } from './attachment.ts';
import type { Attachment, Further, KeptAttachment } from './attachment.ts';
import { Attachments } from './attachments.ts';
import type { ConntrackFlows } from './flows.ts';
import type { InnerEnd, Links, Reached } from './links.ts';
import type { NetworkTraffic } from './network.ts';
import { change, elementsOf, tableName } from './ruleset.ts';
import { parseDestination } from '../../model/subnet.ts';
import type { Destination, Subnet } from '../../model/subnet.ts';
import { transact } from './transaction.ts';
import type { Uplinks } from './uplinks.ts';

export interface ConnectionsOptions {
  instance: string;
  /** Of links' names. */
  prefix: string;
  subnet: Subnet;
  links: Links;
  nftables: NftRunner;
  flows: ConntrackFlows;
  /** Where guarantees hold; absent: nowhere. */
  uplinks?: Uplinks | undefined;
  logger: Logger;
}

const setNames = ['bound', 'further', 'shown', 'hairpin', 'classes', 'published', 'floating_in', 'floating_out'] as const;
const maps: ReadonlySet<string> = new Set<(typeof setNames)[number]>(['classes', 'published', 'floating_in', 'floating_out']);
/** What goes from one attachment to another while both are connected. */
const movable = ['bound', 'further', 'shown', 'classes', 'floating_in', 'floating_out'] as const;
/** Elements in one command of a restore: keeps one line of text, and one message to the kernel, of reasonable size. */
const elementsPerCommand = 500;

export class Connections {
  readonly #options: ConnectionsOptions;
  readonly #connected = new Attachments();
  /** What is carried, by the addresses of those who carry it. */
  #routes: ReadonlyMap<string, readonly Destination[]> = new Map();

  constructor(options: ConnectionsOptions) {
    this.#options = options;
  }

  /** What machines of this network carry for it. */
  async setRoutes(routes: NetworkRoutes): Promise<void> {
    const former = this.#routes;
    this.#routes = Map.groupBy(
      Object.keys(routes).map((cidr) => parseDestination('routes', cidr)),
      ({ cidr }) => routes[cidr]!,
    );
    const { links } = this.#options;
    for (const { slot, address } of this.#connected.values()) {
      const [before, now] = [former.get(address) ?? [], this.#carriedBy(address)];
      const gone = before.filter(({ cidr }) => !now.some((one) => one.cidr === cidr));
      if (gone.length > 0) await links.uncarry(slot, address, gone);
      if (now.length > 0) await links.carry(slot, address, now);
    }
  }

  #carriedBy(address: string): readonly Destination[] {
    return this.#routes.get(address) ?? [];
  }

  /** As inside: what one carries oneself does not go to the router. */
  #innerEnd({ index, leads, address }: Pick<Attachment, 'index' | 'leads' | 'address'>): InnerEnd {
    const routes = [...this.#routes].flatMap(([by, destinations]) => (by === address ? [] : destinations));
    return { name: interfaceName(index), leads, routes };
  }

  async prepare(slot: number, netnsFd: number): Promise<void> {
    checkSlot(slot);
    if (this.#connected.has(slot)) throw new CenoteError('wrong_state', `slot ${slot} is connected`);
    await this.#options.links.create(slot, netnsFd);
  }

  async connect(connection: Attachment, netnsFd: number, ceilingMbps: number | null = null): Promise<void> {
    checkAttachment(this.#options.subnet, connection);
    const { slot, address } = connection;
    const { links, flows, uplinks } = this.#options;
    if (this.#connected.has(slot)) throw new CenoteError('wrong_state', `slot ${slot} is connected already`);
    if (this.#connected.leadsTo(address)) throw new CenoteError('in_use', `the address ${address} is in use by another machine`);
    this.#connected.set(slot, connection);
    try {
      await flows.settled(address, connection.machine);
      const inner = this.#innerEnd(connection);
      const { name } = inner;
      const shaped = uplinks?.set(address, connection.guaranteeMbps);
      shaped?.catch(() => {}); // heard of below
      await links.connect(slot, address, netnsFd, inner);
      if (this.#routes.has(address)) await links.carry(slot, address, this.#carriedBy(address));
      const further = furtherOf(connection);
      if (further.length > 0) {
        await links.addInside(netnsFd, name, insideOf(connection));
        await links.reach(slot, address, further);
      }
      if (ceilingMbps !== null) await links.limit(slot, netnsFd, name, ceilingMbps);
      await shaped;
      this.#allow(connection);
    } catch (error) {
      this.#connected.delete(slot);
      await uplinks?.remove(address);
      await links
        .disconnect(slot, [address])
        .catch((undoError: unknown) => this.#options.logger.error({ err: undoError, slot }, 'a half-made connection could not be undone'));
      throw error;
    }
    flows.published(connection.publish);
  }

  /** As `connect`, of a machine whose link is made only now. */
  async attach(attachment: Attachment, netnsFd: number, ceilingMbps: number | null = null): Promise<void> {
    const { slot, index } = attachment;
    checkSlot(slot);
    if (this.#connected.has(slot)) throw new CenoteError('wrong_state', `slot ${slot} is connected already`);
    const { links } = this.#options;
    await links.create(slot, netnsFd, interfaceName(index));
    try {
      await this.connect(attachment, netnsFd, ceilingMbps);
    } catch (error) {
      // At once: the machine runs, and sees it.
      await links.discard(slot);
      await links.flush();
      throw error;
    }
  }

  /** From here on the address is reached by the link, and may come from it. `netnsFd` is the machine's, where it is to have it. */
  async addFurther(slot: number, added: Further, netnsFd: number | null = null): Promise<void> {
    const { links, flows, subnet } = this.#options;
    const { index, ...former } = this.#demand(slot);
    checkAttachment(subnet, { ...former, index, further: [added] });
    if (this.#connected.leadsTo(added.address)) throw new CenoteError('in_use', `the address ${added.address} is in use already`);
    await flows.settled(added.address, added.machine);
    if (netnsFd !== null) await links.addInside(netnsFd, interfaceName(index), [added.address]);
    await links.reach(slot, this.#demand(slot).address, [added.address]);
    try {
      const attachment = this.#demand(slot);
      this.#exchange([{ ...attachment, further: [...(attachment.further ?? []), added] }]);
    } catch (error) {
      await links.unreach(slot, [added.address]);
      if (netnsFd !== null) await links.removeInside(netnsFd, interfaceName(index), added.address);
      throw error;
    }
  }

  async removeFurther(slot: number, address: string, netnsFd: number | null = null): Promise<void> {
    const attachment = this.#connected.get(slot);
    const gone = attachment?.further?.find((one) => one.address === address);
    if (attachment === undefined || gone === undefined) return;
    this.#exchange([{ ...attachment, further: attachment.further!.filter((one) => one !== gone) }]);
    await this.#options.links.unreach(slot, [address]);
    if (netnsFd !== null) await this.#options.links.removeInside(netnsFd, interfaceName(attachment.index), address);
    this.#options.flows.left(address, gone.machine);
  }

  /** A floating address is another machine's from here on, or nobody's: in one transaction, so that new flows go to the one or the other. */
  async moveFloating(address: string, from: number | null, to: number | null): Promise<void> {
    const without = (from === null ? [] : [this.#demand(from)]).map((one) => ({ ...one, floating: one.floating?.filter((other) => other !== address) }));
    const given = (to === null ? [] : [this.#demand(to)]).map((one) => ({ ...one, floating: [...(one.floating ?? []), address] }));
    this.#exchange([...without, ...given]);
    await this.#options.flows.floated(address);
  }

  /** The same of which link leads to it. */
  async moveFurther(moved: Further, from: number | null, to: number | null): Promise<void> {
    const { links, flows } = this.#options;
    const [losing, gaining] = [from, to].map((slot) => (slot === null ? [] : [this.#demand(slot)])) as [Attachment[], Attachment[]];
    for (const { slot, address } of gaining) await links.reach(slot, address, [moved.address]);
    this.#exchange([
      ...losing.map((one) => ({ ...one, further: one.further?.filter(({ address }) => address !== moved.address) })),
      ...gaining.map((one) => ({ ...one, further: [...(one.further ?? []), moved] })),
    ]);
    for (const { slot } of losing) await links.unreach(slot, [moved.address]);
    await flows.floated(moved.address);
  }

  /** These attachments become so in one transaction; what one takes from another is never both's, and never absent. */
  #exchange(wanted: readonly Attachment[]): void {
    const { instance } = this.#options;
    const all = (attachments: readonly Attachment[]) => attachments.map((one) => this.#elementsOf(one));
    const [old, now] = [all(wanted.map(({ slot }) => this.#demand(slot))), all(wanted)];
    const changes = (verb: 'create' | 'delete', from: typeof old, without: typeof old): string =>
      movable
        .map((set) => {
          const lost = difference(
            from.flatMap((one) => one[set]),
            without.flatMap((one) => one[set]),
          );
          return change(verb, instance, set, verb === 'delete' ? lost.map(keyOf) : lost);
        })
        .join('');
    this.#run(changes('delete', old, now) + changes('create', now, old));
    for (const attachment of wanted) this.#connected.set(attachment.slot, attachment);
  }

  /** Whether it is the way everywhere, in a machine that runs. */
  async lead(slot: number, netnsFd: number, leads: InnerEnd['leads']): Promise<void> {
    const attachment = this.#demand(slot);
    await this.#options.links.lead(netnsFd, this.#innerEnd({ ...attachment, leads }));
    this.#connected.set(slot, { ...attachment, leads });
  }

  async publish(slot: number, publish: PublishedPort[]): Promise<void> {
    const before = this.#demand(slot);
    const connection = { ...before, publish };
    checkAttachment(this.#options.subnet, connection);
    const { instance, prefix, flows } = this.#options;
    const old = elementsOf(prefix, before);
    const now = elementsOf(prefix, connection);
    const removed = difference(old.published, now.published);
    const added = difference(now.published, old.published);
    this.#run(change('delete', instance, 'published', removed.map(keyOf)) + change('create', instance, 'published', added));
    this.#connected.set(connection.slot, connection);
    flows.published(connection.publish.filter((port) => !before.publish.some((old) => samePort(old, port))));
    await flows.unpublished(
      connection.address,
      before.publish.filter((port) => !connection.publish.some((kept) => samePort(kept, port))),
    );
  }

  async limit(slot: number, pid: number, ceilingMbps: number | null): Promise<void> {
    const { index } = this.#demand(slot);
    const netnsFd = openFd(`/proc/${pid}/ns/net`, openFlags.readOnly);
    try {
      await this.#options.links.limit(slot, netnsFd, interfaceName(index), ceilingMbps);
    } finally {
      closeFd(netnsFd);
    }
  }

  /** The same again is harmless. When it cannot be, all is as before. */
  async guarantee(slot: number, guaranteeMbps: number): Promise<void> {
    const attachment = this.#demand(slot);
    await this.#options.uplinks?.set(attachment.address, guaranteeMbps);
    this.#connected.set(slot, { ...attachment, guaranteeMbps });
  }

  async disconnect(slot: number): Promise<void> {
    checkSlot(slot);
    const { links, flows, uplinks } = this.#options;
    const connection = this.#connected.get(slot);
    if (connection === undefined) return links.discard(slot);
    this.#forbid(connection);
    await links.disconnect(slot, [connection.address, ...furtherOf(connection)]);
    await uplinks?.remove(connection.address);
    this.#connected.delete(slot);
    flows.left(connection.address, connection.machine);
    for (const { address, machine } of connection.further ?? []) flows.left(address, machine);
  }

  async traffic(slot: number): Promise<NetworkTraffic> {
    checkSlot(slot);
    const { sent, received } = await this.#options.links.counters(slot);
    return { receivedBytes: sent, sentBytes: received };
  }

  async restore(kept: KeptAttachment[], prepared: number[]): Promise<void> {
    for (const connection of kept) checkAttachment(this.#options.subnet, connection);
    prepared.forEach(checkSlot);
    const { links, flows, uplinks, logger } = this.#options;
    const existing = await links.list();
    const real = kept.filter(({ slot }) => existing.has(slot));
    const lost = kept.filter(({ slot }) => !existing.has(slot));
    const wanted = new Set([...real.map((connection) => connection.slot), ...prepared]);
    this.#connected.clear();
    for (const { pid: _, ceilingMbps: _ceiling, ...attachment } of real) this.#connected.set(attachment.slot, attachment);
    // A class is there before packets are sent into it.
    await uplinks?.restore(new Map(real.map(({ address, guaranteeMbps }) => [address, guaranteeMbps])));
    this.#replaceElements(real);
    await links.adopt(
      new Map([...existing].filter(([slot]) => wanted.has(slot))),
      new Map(
        real.map((connection): [number, Reached] => [
          connection.slot,
          { addresses: [connection.address, ...furtherOf(connection)], carries: this.#carriedBy(connection.address) },
        ]),
      ),
    );
    for (const slot of existing.keys()) if (!wanted.has(slot)) await links.discard(slot);
    // A crash in the middle of a resize leaves a ceiling at one end, or none where one was.
    for (const { slot, pid, ceilingMbps } of real) {
      if (pid === null || (ceilingMbps === null && existing.get(slot)?.isShaped !== true)) continue;
      await this.limit(slot, pid, ceilingMbps).catch((error: unknown) =>
        logger.error({ err: error, slot }, "a machine's ceiling could not be set as recorded"),
      );
    }
    await flows.keepOnly(
      this.#options.subnet,
      real.flatMap((connection) => [connection.address, ...insideOf(connection)]),
    );
    for (const attachment of lost) await this.#repair(attachment);
  }

  /** Its link was taken from it, or was never made: it gets another. */
  async #repair({ pid, ceilingMbps, ...attachment }: KeptAttachment): Promise<void> {
    const { logger } = this.#options;
    const { slot, machine, address } = attachment;
    if (pid === null) return;
    logger.warn({ slot, machine, address }, 'a running machine has lost its link; it gets another');
    try {
      const netnsFd = openFd(`/proc/${pid}/ns/net`, openFlags.readOnly);
      try {
        await this.attach(attachment, netnsFd, ceilingMbps);
      } finally {
        closeFd(netnsFd);
      }
    } catch (error) {
      logger.error({ err: error, slot, machine, address }, 'a running machine has no network on this address until it is started again');
    }
  }

  async removeAll(): Promise<void> {
    this.#connected.clear();
    this.#replaceElements([]);
    const { links } = this.#options;
    for (const slot of (await links.list()).keys()) await links.discard(slot);
    await links.flush();
  }

  #allow(connection: Attachment): void {
    const { instance } = this.#options;
    const elements = this.#elementsOf(connection);
    this.#run(setNames.map((set) => change('create', instance, set, elements[set])).join(''));
  }

  /** What is missing already (someone flushed the table) must not keep the rest from going. */
  #forbid(connection: Attachment): void {
    const { instance, nftables, logger } = this.#options;
    const sets = this.#elementsOf(connection);
    try {
      this.#run(
        Object.entries(sets)
          .map(([set, elements]) => change('delete', instance, set, elements.map(keyOf)))
          .join(''),
      );
      return;
    } catch (error) {
      logger.warn({ err: error, slot: connection.slot }, 'rules of a machine were changed by someone else');
    }
    for (const [set, elements] of Object.entries(sets)) {
      for (const element of elements) {
        try {
          nftables.run(change('delete', instance, set, [keyOf(element)]));
        } catch (error) {
          if (!(error instanceof NftablesError) || error.kind !== 'missing') throw error;
        }
      }
    }
  }

  /** One transaction: the kernel goes from the old elements to the new ones at once, and one that stays is never absent. */
  #replaceElements(connections: readonly Attachment[]): void {
    const { instance } = this.#options;
    const all = connections.map((connection) => this.#elementsOf(connection));
    let commands = '';
    for (const set of setNames) {
      const elements = all.flatMap((one) => one[set]);
      commands += `flush ${maps.has(set) ? 'map' : 'set'} inet ${tableName(instance)} ${set}\n`;
      for (let at = 0; at < elements.length; at += elementsPerCommand) commands += change('add', instance, set, elements.slice(at, at + elementsPerCommand));
    }
    this.#run(commands);
  }

  #elementsOf(connection: Attachment): ReturnType<typeof elementsOf> {
    const { prefix, uplinks } = this.#options;
    return elementsOf(prefix, connection, uplinks && ((address) => uplinks.classOf(address)));
  }

  #run(commands: string): void {
    transact(this.#options.nftables, commands, 'the address or a published port is in use by another machine');
  }

  #demand(slot: number): Attachment {
    checkSlot(slot);
    const attachment = this.#connected.get(slot);
    if (attachment === undefined) throw new CenoteError('wrong_state', `slot ${slot} is not connected`);
    return attachment;
  }
}
