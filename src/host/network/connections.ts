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
import type { NftRunner } from '../../sys/nftables.ts';
import { checkAttachment, checkSlot, furtherOf, insideOf, interfaceName, samePort } from './attachment.ts';
import type { Attachment, Further, KeptAttachment } from './attachment.ts';
import { Attachments } from './attachments.ts';
import type { Drops } from './drops.ts';
import { Elements } from './elements.ts';
import { keyOf } from './flow-entry.ts';
import type { AddressKey } from './flow-entry.ts';
import type { ConntrackFlows } from './flows.ts';
import type { InnerEnd } from './inner-end.ts';
import type { Links, Reached } from './links.ts';
import type { NetworkTraffic } from './network.ts';
import { parseDestination } from '../../model/subnet.ts';
import type { Destination, Subnet } from '../../model/subnet.ts';
import type { Uplinks } from './uplinks.ts';
import type { Wires } from './wires.ts';

export interface ConnectionsOptions {
  instance: string;
  /** Of links' names. */
  prefix: string;
  subnet: Subnet;
  links: Links;
  nftables: NftRunner;
  flows: ConntrackFlows;
  drops: Drops;
  /** Where guarantees hold; absent: nowhere. */
  uplinks?: Uplinks | undefined;
  /** Where addresses that it leads to may be on wires outside; absent: it is inside. */
  wires?: Wires | undefined;
  logger: Logger;
}

export class Connections {
  readonly #options: ConnectionsOptions;
  readonly #elements: Elements;
  readonly #connected = new Attachments();
  /** Who begins no flow for now. */
  #held: ReadonlySet<string> = new Set();
  /** What is carried, by the addresses of those who carry it. */
  #routes: ReadonlyMap<string, readonly Destination[]> = new Map();

  constructor(options: ConnectionsOptions) {
    this.#options = options;
    this.#elements = new Elements(options);
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

  /** Whose each address is, which a link of this network leads to. */
  machines(): Map<AddressKey, string> {
    const machines = new Map<AddressKey, string>();
    for (const { machine, address, further = [] } of this.#connected.values())
      for (const one of [{ machine, address }, ...further]) machines.set(keyOf(one.address), one.machine);
    return machines;
  }

  /** These begin no flow, and none is begun to them; all others do. */
  hold(machines: ReadonlySet<string>): void {
    this.#held = machines;
    const addresses = [...this.#connected.values()].flatMap(({ machine, address, further = [] }) =>
      [{ machine, address }, ...further].flatMap((one) => (machines.has(one.machine) ? [one.address] : [])),
    );
    this.#elements.hold(addresses);
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
    const { links, flows, uplinks, wires } = this.#options;
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
        await wires?.add(further);
      }
      if (ceilingMbps !== null) await links.limit(slot, netnsFd, name, ceilingMbps);
      await shaped;
      this.#elements.allow(connection);
    } catch (error) {
      this.#connected.delete(slot);
      await uplinks?.remove(address);
      await wires?.remove(furtherOf(connection));
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
    const { links, flows, subnet, wires } = this.#options;
    const { index, ...former } = this.#demand(slot);
    checkAttachment(subnet, { ...former, index, further: [added] });
    if (this.#connected.leadsTo(added.address)) throw new CenoteError('in_use', `the address ${added.address} is in use already`);
    await flows.settled(added.address, added.machine);
    if (netnsFd !== null) await links.addInside(netnsFd, interfaceName(index), [added.address]);
    await links.reach(slot, this.#demand(slot).address, [added.address]);
    try {
      await wires?.add([added.address]);
      const attachment = this.#demand(slot);
      this.#exchange([{ ...attachment, further: [...(attachment.further ?? []), added] }]);
    } catch (error) {
      await wires?.remove([added.address]);
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
    await this.#options.wires?.remove([address]);
    await this.#options.links.unreach(slot, [address]);
    if (netnsFd !== null) await this.#options.links.removeInside(netnsFd, interfaceName(attachment.index), address);
    this.#options.flows.left(address, gone.machine);
  }

  /** A floating address is another machine's from here on, or nobody's: in one transaction, so that new flows go to the one or the other. */
  async moveFloating(address: string, from: number | null, to: number | null): Promise<void> {
    const without = (from === null ? [] : [this.#demand(from)]).map((one) => ({ ...one, floating: one.floating?.filter((other) => other !== address) }));
    const given = (to === null ? [] : [this.#demand(to)]).map((one) => ({ ...one, floating: [...(one.floating ?? []), address] }));
    const { wires, flows } = this.#options;
    for (const one of given) await wires?.seenAs(one.address, one.floating[0]);
    this.#exchange([...without, ...given]);
    for (const one of without) await wires?.seenAs(one.address, one.floating?.[0]);
    await flows.floated(address);
  }

  /** The same of which link leads to it. */
  async moveFurther(moved: Further, from: number | null, to: number | null): Promise<void> {
    const { links, flows, wires } = this.#options;
    const [losing, gaining] = [from, to].map((slot) => (slot === null ? [] : [this.#demand(slot)])) as [Attachment[], Attachment[]];
    if (to !== null) await wires?.add([moved.address]);
    for (const { slot, address } of gaining) await links.reach(slot, address, [moved.address]);
    this.#exchange([
      ...losing.map((one) => ({ ...one, further: one.further?.filter(({ address }) => address !== moved.address) })),
      ...gaining.map((one) => ({ ...one, further: [...(one.further ?? []), moved] })),
    ]);
    for (const { slot } of losing) await links.unreach(slot, [moved.address]);
    if (to === null) await wires?.remove([moved.address]);
    await flows.floated(moved.address);
  }

  /** These attachments become so in one transaction; what one takes from another is never both's, and never absent. */
  #exchange(wanted: readonly Attachment[]): void {
    this.#elements.exchange(
      wanted.map(({ slot }) => this.#demand(slot)),
      wanted,
    );
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
    const { flows } = this.#options;
    this.#elements.publish(before, connection);
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
    const { links, flows, drops, uplinks, wires } = this.#options;
    const connection = this.#connected.get(slot);
    if (connection === undefined) return links.discard(slot);
    this.#elements.forbid(connection);
    drops.changed();
    await wires?.remove(furtherOf(connection));
    if ((connection.floating ?? []).length > 0) await wires?.seenAs(connection.address, undefined);
    await links.disconnect(slot, [connection.address, ...furtherOf(connection)]);
    await uplinks?.remove(connection.address);
    this.#connected.delete(slot);
    // Who has the address next has done nothing.
    if (this.#held.has(connection.machine)) this.hold(this.#held);
    flows.left(connection.address, connection.machine);
    for (const { address, machine } of connection.further ?? []) flows.left(address, machine);
  }

  async traffic(slot: number): Promise<NetworkTraffic> {
    checkSlot(slot);
    const { links, drops, prefix } = this.#options;
    const { sent, received } = await links.counters(slot);
    const attachment = this.#connected.get(slot);
    const dropped = attachment === undefined ? {} : await drops.of(`${prefix}${slot}`, [attachment.address, ...insideOf(attachment)]);
    return { receivedBytes: received, sentBytes: sent, ...(Object.keys(dropped).length > 0 ? { dropped } : {}) };
  }

  async restore(kept: KeptAttachment[], prepared: number[]): Promise<void> {
    for (const connection of kept) checkAttachment(this.#options.subnet, connection);
    prepared.forEach(checkSlot);
    const { links, flows, uplinks, wires, logger } = this.#options;
    const existing = await links.list();
    const real = kept.filter(({ slot }) => existing.has(slot));
    const lost = kept.filter(({ slot }) => !existing.has(slot));
    const wanted = new Set([...real.map((connection) => connection.slot), ...prepared]);
    for (const { address } of this.#connected.values()) if (!real.some((one) => one.address === address)) await uplinks?.remove(address);
    this.#connected.clear();
    for (const { pid: _, ceilingMbps: _ceiling, ...attachment } of real) this.#connected.set(attachment.slot, attachment);
    // A class is there before packets are sent into it.
    await uplinks?.restore(new Map(real.map(({ address, guaranteeMbps }) => [address, guaranteeMbps])));
    this.#elements.replace(real);
    await links.adopt(
      new Map([...existing].filter(([slot]) => wanted.has(slot))),
      new Map(
        real.map((connection): [number, Reached] => [
          connection.slot,
          { addresses: [connection.address, ...furtherOf(connection)], carries: this.#carriedBy(connection.address) },
        ]),
      ),
    );
    await wires?.restore(
      real.flatMap(furtherOf),
      new Map(real.flatMap(({ address, floating: [first] = [] }) => (first === undefined ? [] : [[address, first]]))),
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
    this.#elements.replace([]);
    const { links } = this.#options;
    for (const slot of (await links.list()).keys()) await links.discard(slot);
    await links.flush();
  }

  #demand(slot: number): Attachment {
    checkSlot(slot);
    const attachment = this.#connected.get(slot);
    if (attachment === undefined) throw new CenoteError('wrong_state', `slot ${slot} is not connected`);
    return attachment;
  }
}
