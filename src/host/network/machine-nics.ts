/**
 * Machines as the network has them: each a slot with NICs, every one an attachment to one network. What goes over several networks goes in an
 * order in which no packet can go where it must not, and is undone as a whole.
 */
import { CenoteError } from '../../base/errors.ts';
import type { DroppedPackets, PublishedPort } from '../../model/machine.ts';
import { externalNetwork, nicsOf } from '../../model/nics.ts';
import type { Nic } from '../../model/network.ts';
import { familyOf } from '../../model/address.ts';
import type { Family } from '../../model/address.ts';
import type { NetworkUsage } from '../../model/network-usage.ts';
import { closeFd, openFd, openFlags } from '../../sys/libc.ts';
import { floatingFurther, interfaceName } from './attachment.ts';
import type { Attachment, Further, KeptAttachment } from './attachment.ts';
import { Floating } from './floating.ts';
import type { FloatingPlace } from './floating.ts';
import type { InnerEnd } from './inner-end.ts';
import type { Connection, KeptConnection, NetworkTraffic } from './network.ts';
import type { Routers } from './routers.ts';
import type { Segment } from './segment.ts';

export class Machines {
  readonly #host: Segment;
  readonly #routers: Routers;
  /** Of those that are connected. */
  readonly #bySlot = new Map<number, Connection>();
  readonly floating: Floating;

  constructor({ host, routers }: { host: Segment; routers: Routers }) {
    this.#host = host;
    this.#routers = routers;
    const placeOf = (machine: string) => [...this.#bySlot.values()].flatMap((one) => (one.machine === machine ? [placeOfConnection(one)] : []))[0];
    this.floating = new Floating({ host, routers, placeOf });
  }

  async connect(connection: Connection, netnsFd: number, ceilingMbps: number | null): Promise<void> {
    const { slot } = connection;
    await using undo = new AsyncDisposableStack();
    for (const nic of nicsOf(connection)) {
      // What sandboxes have ready.
      const isPrepared = nic.network === externalNetwork && nic.index === 0;
      const attachment = this.#attachment(connection, nic);
      await (isPrepared ? this.#host.connections.connect(attachment, netnsFd, ceilingMbps) : this.#attach(nic.network, attachment, netnsFd, ceilingMbps));
      undo.defer(() => this.#detach(nic.network, slot));
    }
    undo.move();
    this.#bySlot.set(slot, connection);
    await this.floating.settle(connection.machine);
  }

  async publish(connection: Connection): Promise<void> {
    const { slot, address, publish } = connection;
    const former = this.#demand(slot);
    const primary = primaryOf(former);
    if (primary.address !== address) throw new CenoteError('wrong_state', `slot ${slot} has the address ${primary.address}, not ${address}`);
    await using undo = new AsyncDisposableStack();
    for (const { network } of this.#publishers(nicsOf(former))) {
      await this.#publish(network, slot, publish);
      undo.defer(() => this.#publish(network, slot, former.publish));
    }
    undo.move();
    this.#bySlot.set(slot, { ...former, publish });
  }

  /** Of which families ports of a machine with these NICs are published. */
  publishedIn(nics: readonly Nic[]): Family[] {
    return this.#publishers(nics).map(({ address }) => familyOf(address));
  }

  async setNics(wanted: Connection, pid: number, ceilingMbps: number | null): Promise<void> {
    const { slot, publish } = wanted;
    const former = this.#demand(slot);
    const { guaranteeMbps = 0 } = former;
    const connection = { ...wanted, guaranteeMbps };
    const [before, after] = [nicsOf(former), nicsOf(connection)];
    const [oldPrimary, newPrimary] = [primaryOf(former), primaryOf(connection)];
    using opened = new DisposableStack();
    const netnsFd = opened.adopt(openFd(`/proc/${pid}/ns/net`, openFlags.readOnly), closeFd);
    await using undo = new AsyncDisposableStack();
    for (const nic of after.filter((one) => !before.some((other) => isSame(one, other)))) {
      const { network } = nic;
      await this.#attach(network, { ...this.#attachment(former, nic), publish: [], leads: 'subnet', guaranteeMbps: 0 }, netnsFd, ceilingMbps);
      undo.defer(() => this.#detach(network, slot));
    }
    for (const nic of after) {
      const had = before.find((one) => isSame(one, nic));
      for (const address of had === undefined ? [] : without(nic.more, had.more)) {
        await this.#addFurther(nic.network, slot, furtherOf(former.machine, address), netnsFd);
        undo.defer(() => this.#removeFurther(nic.network, slot, address, netnsFd));
      }
    }
    const turns = this.#turns(before, after);
    const [old, now] = [
      { primary: oldPrimary, publishers: this.#publishers(before) },
      { primary: newPrimary, publishers: this.#publishers(after) },
    ];
    const exchange = async (from: typeof old, to: typeof old, leads: readonly Turn[]): Promise<void> => {
      const isOther = from.primary.network !== to.primary.network;
      for (const { network } of notAmong(from.publishers, to.publishers)) await this.#publish(network, slot, []);
      if (isOther) await this.#guarantee(from.primary.network, slot, 0);
      for (const { network, now: next } of leads) await this.#lead(network, slot, netnsFd, next);
      if (isOther) await this.#guarantee(to.primary.network, slot, guaranteeMbps);
      for (const { network } of notAmong(to.publishers, from.publishers)) await this.#publish(network, slot, publish);
    };
    undo.defer(() => exchange(now, old, inOrder(turns.map(({ network, was, now: next }) => ({ network, was: next, now: was })))));
    await exchange(old, now, turns);
    undo.move();
    this.#bySlot.set(slot, connection);
    await this.floating.settle(connection.machine);
    for (const nic of after)
      for (const address of without(before.find((one) => isSame(one, nic))?.more, nic.more)) await this.#removeFurther(nic.network, slot, address, netnsFd);
    for (const { network, index } of before.filter((one) => !after.some((other) => isSame(one, other)))) {
      await this.#detach(network, slot);
      // Gone inside when it is acknowledged, not with the next batch.
      await (await this.#segment(network)).links.flushOut(netnsFd, interfaceName(index));
    }
  }

  async limit(slot: number, pid: number, ceilingMbps: number | null): Promise<void> {
    for (const { network } of nicsOf(this.#demand(slot))) await (await this.#segment(network)).connections.limit(slot, pid, ceilingMbps);
  }

  /** It holds for what leaves by the primary NIC: the others lead nowhere but to their neighbours. */
  async guarantee(slot: number, guaranteeMbps: number): Promise<void> {
    const connection = this.#demand(slot);
    await this.#guarantee(primaryOf(connection).network, slot, guaranteeMbps);
    this.#bySlot.set(slot, { ...connection, guaranteeMbps });
  }

  /** Harmless for one that is not connected: what was prepared for it goes. */
  async disconnect(slot: number): Promise<void> {
    const connection = this.#bySlot.get(slot);
    if (connection === undefined) return this.#host.connections.disconnect(slot);
    this.#bySlot.delete(slot);
    await this.floating.leave(slot);
    for (const { network } of nicsOf(connection)) await this.#detach(network, slot);
  }

  async traffic(slot: number): Promise<NetworkTraffic> {
    const connection = this.#bySlot.get(slot);
    if (connection === undefined) return this.#host.connections.traffic(slot);
    const sum: NetworkTraffic = { receivedBytes: 0, sentBytes: 0 };
    for (const { network } of nicsOf(connection)) {
      const { receivedBytes, sentBytes, dropped = {} } = await (await this.#segment(network)).connections.traffic(slot);
      sum.receivedBytes += receivedBytes;
      sum.sentBytes += sentBytes;
      for (const [reason, packets] of Object.entries(dropped) as [keyof DroppedPackets, number][])
        sum.dropped = { ...sum.dropped, [reason]: (sum.dropped?.[reason] ?? 0) + packets };
    }
    return sum;
  }

  /** Zero of one that no machine here is on. */
  async usage(network: string): Promise<NetworkUsage> {
    const machines = this.#bySlot.values().reduce((sum, one) => sum + (nicsOf(one).some((nic) => nic.network === network) ? 1 : 0), 0);
    const segment = network === externalNetwork ? this.#host : await this.#routers.segment(network);
    return { machines, dropped: (await segment?.drops.ofNetwork()) ?? {} };
  }

  async restore(kept: readonly KeptConnection[], prepared: number[]): Promise<void> {
    const onExternal: KeptAttachment[] = [];
    const onFabrics = new Map<string, KeptAttachment[]>();
    this.#bySlot.clear();
    for (const { pid, ceilingMbps, ...connection } of kept) {
      this.#bySlot.set(connection.slot, connection);
      for (const nic of nicsOf(connection)) {
        const attachments = nic.network === externalNetwork ? onExternal : (onFabrics.get(nic.network) ?? []);
        if (nic.network !== externalNetwork) onFabrics.set(nic.network, attachments);
        attachments.push({ ...this.#withFloating(this.#attachment(connection, nic), nic), pid, ceilingMbps });
      }
    }
    for (const [segment, uplinks] of await this.#routers.restore(onFabrics)) {
      const isHost = segment === this.#host;
      await segment.connections.restore([...(isHost ? onExternal : []), ...uplinks], isHost ? prepared : []);
    }
    await this.#routers.restoreMachines(onFabrics);
    this.floating.restore([...this.#bySlot.values()].map(placeOfConnection));
  }

  /** As it is in the kernel while it runs. */
  #withFloating(attachment: Attachment, { network, primary }: Nic): Attachment {
    const { machine, further = [] } = attachment;
    const floating = primary ? this.floating.of(machine) : [];
    if (floating.length === 0) return attachment;
    if (network !== externalNetwork) return { ...attachment, floating };
    return { ...attachment, floating, further: [...further, ...floating.map((address) => floatingFurther(machine, address))] };
  }

  #attachment(connection: Connection, nic: Nic): Attachment {
    const { slot, machine, publish, guaranteeMbps = 0 } = connection;
    const { address, index, primary, more = [] } = nic;
    const further = more.map((other) => furtherOf(machine, other));
    const nics = nicsOf(connection);
    return {
      slot,
      machine,
      address,
      index,
      leads: this.#leads(nic, nics),
      ...(further.length === 0 ? {} : { further }),
      publish: this.#isPublisher(nic, nics) ? publish : [],
      guaranteeMbps: primary ? guaranteeMbps : 0,
    };
  }

  /** At which ports are published: of each family one, which its answers leave by. */
  #publishers(nics: readonly Nic[]): Nic[] {
    return nics.filter((nic) => this.#isPublisher(nic, nics));
  }

  #isPublisher(nic: Nic, nics: readonly Nic[]): boolean {
    return nic.primary || this.#leads(nic, nics) === 'everywhere';
  }

  /** Of each family one leads everywhere: the primary of its own, and of the other the first that leads outside. */
  #leads(nic: Nic, nics: readonly Nic[]): InnerEnd['leads'] {
    if (nic.primary) return this.#isWayOut(nic) ? 'everywhere' : 'resolver';
    const isPrimarys = nics.some((one) => one.primary && isOneFamily(one, nic));
    const [first] = isPrimarys ? [] : nics.filter((one) => isOneFamily(one, nic) && this.#isWayOut(one)).toSorted((one, other) => one.index - other.index);
    return first?.network === nic.network ? 'everywhere' : 'subnet';
  }

  #isWayOut({ network }: Nic): boolean {
    return network === externalNetwork || (this.#routers.definition(network)?.gateway ?? null) !== null;
  }

  /** What of the NICs that are to be there leads elsewhere than it did; one that is new did not. */
  #turns(before: readonly Nic[], after: readonly Nic[]): Turn[] {
    const turns = after.map((nic): Turn => {
      const had = before.find((one) => isSame(one, nic));
      return { network: nic.network, was: had === undefined ? 'subnet' : this.#leads(had, before), now: this.#leads(nic, after) };
    });
    return inOrder(turns.filter(({ was, now }) => was !== now));
  }

  #attach(network: string, attachment: Attachment, netnsFd: number, ceilingMbps: number | null): Promise<void> {
    if (network === externalNetwork) return this.#host.connections.attach(attachment, netnsFd, ceilingMbps);
    return this.#routers.attach(network, attachment, netnsFd, ceilingMbps);
  }

  #detach(network: string, slot: number): Promise<void> {
    return network === externalNetwork ? this.#host.connections.disconnect(slot) : this.#routers.detach(network, slot);
  }

  #addFurther(network: string, slot: number, added: Further, netnsFd: number): Promise<void> {
    return network === externalNetwork ? this.#host.connections.addFurther(slot, added, netnsFd) : this.#routers.addFurther(network, slot, added, netnsFd);
  }

  #removeFurther(network: string, slot: number, address: string, netnsFd: number): Promise<void> {
    return network === externalNetwork
      ? this.#host.connections.removeFurther(slot, address, netnsFd)
      : this.#routers.removeFurther(network, slot, address, netnsFd);
  }

  #publish(network: string, slot: number, publish: PublishedPort[]): Promise<void> {
    return network === externalNetwork ? this.#host.connections.publish(slot, publish) : this.#routers.publish(network, slot, publish);
  }

  #guarantee(network: string, slot: number, guaranteeMbps: number): Promise<void> {
    return network === externalNetwork ? this.#host.connections.guarantee(slot, guaranteeMbps) : this.#routers.guarantee(network, slot, guaranteeMbps);
  }

  async #lead(network: string, slot: number, netnsFd: number, leads: InnerEnd['leads']): Promise<void> {
    await (await this.#segment(network)).connections.lead(slot, netnsFd, leads);
  }

  async #segment(network: string): Promise<Segment> {
    if (network === externalNetwork) return this.#host;
    const segment = await this.#routers.segment(network);
    if (segment === undefined) throw new CenoteError('wrong_state', `nobody is on network ${network}`);
    return segment;
  }

  #demand(slot: number): Connection {
    const connection = this.#bySlot.get(slot);
    if (connection === undefined) throw new CenoteError('wrong_state', `slot ${slot} is not connected`);
    return connection;
  }
}

const primaryOf = (connection: Connection): Nic => {
  const primary = nicsOf(connection).find((nic) => nic.primary);
  if (primary === undefined) throw new CenoteError('invalid_argument', 'nics: one of them is primary');
  return primary;
};

interface Turn {
  network: string;
  was: InnerEnd['leads'];
  now: InnerEnd['leads'];
}

/** Who leads everywhere from now on comes last: its way replaces the other's. */
const inOrder = (turns: readonly Turn[]): Turn[] => turns.toSorted((one, other) => Number(one.now === 'everywhere') - Number(other.now === 'everywhere'));

const isOneFamily = (one: Nic, other: Nic): boolean => familyOf(one.address) === familyOf(other.address);

const notAmong = (nics: readonly Nic[], others: readonly Nic[]): Nic[] => nics.filter(({ network }) => !others.some((other) => other.network === network));

const isSame = (one: Nic, other: Nic): boolean => one.network === other.network && one.address === other.address && one.index === other.index;

const without = (addresses: readonly string[] = [], others: readonly string[] = []): string[] => addresses.filter((address) => !others.includes(address));

const furtherOf = (machine: string, address: string): Further => ({ machine, address, isShown: false, isInside: true });

const placeOfConnection = (connection: Connection): FloatingPlace => {
  const { slot, machine } = connection;
  return { slot, machine, network: primaryOf(connection).network };
};
