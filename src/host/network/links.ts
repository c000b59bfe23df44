/**
 * The links of one network: a veth pair per slot, routed, in the namespace that is the network's router: the host's own, or a fabric's. Host ends all have the gateway's MAC (each is alone on its wire), so
 * that a machine's neighbour entry for the gateway is always the same. A slot's name is free again when `create` has waited for its former link's deletion.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CenoteError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { NetlinkSocket, demand, netlinkProtocols, parseAttributes } from '../../sys/netlink.ts';
import type { NetlinkMessage, NetlinkOutcome, NetlinkRequest } from '../../sys/netlink.ts';
import { inNetworkNamespace } from '../../sys/netns.ts';
import * as message from './route-messages.ts';
import { destinationsOf } from './inner-end.ts';
import type { InnerEnd } from './inner-end.ts';
import { DoomedLinks } from './doomed-links.ts';
import type { FlowCache, LinkPrograms } from './flow-cache/flow-cache.ts';
import { clearCeiling, setCeiling } from './shaping.ts';
import { macBytes } from '../../model/mac.ts';
import { addressFromBytes, widthOf } from '../../model/address.ts';
import { parseDestination } from '../../model/subnet.ts';
import type { Destination, Subnet } from '../../model/subnet.ts';

export interface LinksOptions {
  instanceNumber: number;
  /** What the host ends are called before their slots' numbers. */
  prefix: string;
  subnet: Subnet;
  /** An open descriptor of the router's namespace; absent: the one that this process is in. */
  netnsFd?: number | undefined;
  /** Of its links; absent: the kernel's usual. */
  mtu?: number | undefined;
  /** Others than its machines may have addresses of the subnet, elsewhere. */
  isPart?: boolean | undefined;
  /** The gateway's address is somebody else's, outside; here is only the way to it. */
  isGatewayOutside?: boolean | undefined;
  /** Which remembers packets' ways, and is told when they change; absent: none does. */
  cache?: FlowCache | undefined;
  /** By which it learns them. */
  programs?: LinkPrograms | undefined;
  logger: Logger;
}

/** What a link in use must have on the host's side: addresses, the link's own first, and what its machine carries. */
export interface Reached {
  addresses: readonly [own: string, ...more: string[]];
  carries: readonly Destination[];
}

/** A host end as the kernel has it. */
export interface FoundLink {
  index: number;
  group: number;
  /** It has a ceiling. */
  isShaped: boolean;
}

const defaultGroup = 0;
/** A link whose namespace is just dying keeps its name for a moment; the kernel takes it away without us. */
const nameRetryMs = 20;
const nameRetries = 250;

export class Links {
  readonly #options: LinksOptions;
  readonly #socket: NetlinkSocket;
  readonly #indexes = new Map<number, number>();
  readonly #doomed: DoomedLinks;

  constructor(options: LinksOptions) {
    this.#options = options;
    const { netnsFd } = options;
    const open = () => new NetlinkSocket(netlinkProtocols.route);
    const openSocket = netnsFd === undefined ? open : () => inNetworkNamespace(netnsFd, open);
    this.#socket = openSocket();
    this.#doomed = new DoomedLinks({ ...options, openSocket });
  }

  /** The gateway's address, where the machines expect it and nobody else sees it, and an end for the rest of the subnet. */
  async openGateway(): Promise<void> {
    const { subnet, isPart = false, programs } = this.#options;
    if (programs !== undefined) demand('take over what learns', await this.#socket.send(programs.replace()), 'EINVAL');
    const requests = [
      ...(this.#source === undefined ? [] : [message.addAddress(message.loopbackIndex, this.#source, 'host')]),
      ...(isPart ? [] : [message.addUnreachable(subnet)]),
      message.setUp({ index: message.loopbackIndex }),
    ];
    demand('set up the gateway address', await this.#socket.send(requests));
  }

  async closeGateway(): Promise<void> {
    const { subnet } = this.#options;
    const requests = [message.deleteUnreachable(subnet), message.deleteAddress(message.loopbackIndex, subnet.gateway)];
    demand('remove the gateway address', await this.#socket.send(requests), 'ESRCH', 'EADDRNOTAVAIL');
  }

  async create(slot: number, netnsFd: number, inside = 'eth0'): Promise<void> {
    const { subnet, mtu, programs } = this.#options;
    const name = this.#nameOf(slot);
    if (this.#doomed.has(slot)) await this.flush();
    for (let attempt = 0; ; attempt++) {
      const [created] = await this.#socket.send([message.createPair({ name, mac: macBytes(subnet.gateway), inside, netnsFd, mtu })]);
      if (created!.errno === 0) break;
      if (created!.code !== 'EEXIST' || attempt === nameRetries) demand(`make link ${name}`, [created!]);
      if (attempt === 0) await this.discard(slot).then(() => this.flush()); // left over by a crash, when it is not just dying
      else await sleep(nameRetryMs);
    }
    try {
      const link = { name };
      const outcomes = await this.#socket.send([
        message.withoutLinkLocal(link),
        message.setInet4(link, [[message.inet4Settings.routeLocalnet, subnet.family === 4 ? 1 : 0]]),
        message.setUpWithoutArp(link),
        message.getLink(link),
      ]);
      demand(`set up link ${name}`, outcomes.slice(0, 1), 'EAFNOSUPPORT', 'EOPNOTSUPP');
      demand(`set up link ${name}`, outcomes.slice(1));
      const index = indexOf(outcomes[3]!.messages[0]!);
      this.#indexes.set(slot, index);
      if (programs !== undefined) demand(`let link ${name} learn`, await this.#socket.send(programs.attach(index, true)), 'EEXIST');
      using socket = this.#openInside(netnsFd);
      const inner = { name: inside };
      // The loopback keeps its ::1; the other must have been told before it comes up, as that is when it would take an address.
      const insideOutcomes = await socket.send([
        message.withoutLinkLocal(inner),
        message.setUp({ index: message.loopbackIndex }),
        message.setUpWithoutArp(inner),
      ]);
      demand(`set up ${inside} inside`, insideOutcomes.slice(0, 1), 'EAFNOSUPPORT', 'EOPNOTSUPP');
      demand(`set up ${inside} inside`, insideOutcomes.slice(1));
    } catch (error) {
      await this.discard(slot);
      throw error;
    }
  }

  /** Address, MAC, neighbours and routes of both ends. */
  async connect(slot: number, address: string, netnsFd: number, { name, leads, routes = [] }: InnerEnd): Promise<void> {
    const { subnet } = this.#options;
    const outer = await this.#indexOf(slot);
    const mac = macBytes(address);
    using inner = this.#openInside(netnsFd);
    const found = await inner.send([message.setMac({ name }, mac), message.getLink({ name })]);
    demand(`set up ${name} inside`, found);
    const index = indexOf(found[1]!.messages[0]!);
    const insideRequests = [
      message.addAddress(index, address, 'universe'),
      message.addNeighbour(index, subnet.gateway, macBytes(subnet.gateway)),
      // Of IPv6 the kernel asks which link leads to a next hop, on-link or not: another NIC's routes may say another.
      ...(subnet.family === 6 ? [message.addMachineRoute(index, subnet.gateway, address)] : []),
      ...(leads === 'everywhere'
        ? [message.addDefaultRoute(index, subnet.gateway)]
        : destinationsOf(subnet, leads, routes).map((destination) => message.addRouteBy(index, destination, subnet.gateway))),
    ];
    demand(`give ${name} the address ${address}`, await inner.send(insideRequests));
    demand(`route ${address}`, await this.#lead([message.addNeighbour(outer, address, mac), message.addMachineRoute(outer, address, this.#source)]));
  }

  /** More addresses that the machine itself has. */
  async addInside(netnsFd: number, name: string, addresses: readonly string[]): Promise<void> {
    if (addresses.length === 0) return;
    using inside = this.#openInside(netnsFd);
    const index = await indexIn(inside, name);
    const outcomes = await inside.send(addresses.map((address) => message.addAddress(index, address, 'universe')));
    demand(`give ${name} the addresses ${addresses.join(', ')}`, outcomes);
  }

  async removeInside(netnsFd: number, name: string, address: string): Promise<void> {
    using inside = this.#openInside(netnsFd);
    demand(`take the address ${address} from ${name}`, await inside.send([message.deleteAddress(await indexIn(inside, name), address)]), 'EADDRNOTAVAIL');
  }

  /** More addresses, beside or behind the one that the link was connected with. */
  async reach(slot: number, by: string, addresses: readonly string[]): Promise<void> {
    const outer = await this.#indexOf(slot);
    const requests = addresses.flatMap((address) => [
      message.addNeighbour(outer, address, macBytes(by)),
      message.addMachineRoute(outer, address, this.#source),
    ]);
    demand(`route ${addresses.join(', ')}`, await this.#lead(requests));
  }

  async unreach(slot: number, addresses: readonly string[]): Promise<void> {
    const index = this.#indexes.get(slot);
    if (index === undefined) return;
    const requests = addresses.flatMap((address) => [message.deleteMachineRoute(index, address), message.deleteNeighbour(index, address)]);
    demand(`remove the route to ${addresses.join(', ')}`, await this.#lead(requests), 'ESRCH', 'ENODEV', 'EINVAL', 'ENOENT');
  }

  /** The link's machine takes what is for these. */
  async carry(slot: number, by: string, destinations: readonly Destination[]): Promise<void> {
    const outer = await this.#indexOf(slot);
    const requests = destinations.map((destination) => message.addRouteBy(outer, destination, by));
    demand(`route ${destinations.map(({ cidr }) => cidr).join(', ')}`, await this.#lead(requests));
  }

  async uncarry(slot: number, by: string, destinations: readonly Destination[]): Promise<void> {
    const outer = await this.#indexOf(slot);
    const requests = destinations.map((destination) => message.deleteRouteBy(outer, destination, by));
    demand(`remove the route to ${destinations.map(({ cidr }) => cidr).join(', ')}`, await this.#lead(requests), 'ESRCH');
  }

  /** A router's own way to these is by its link `name`, whatever its machines carry. */
  async keepBy(name: string, destination: Destination, gateway: string): Promise<void> {
    demand(`route ${destination.cidr}`, await this.#lead([message.addRouteBy(await indexIn(this.#socket, name), destination, gateway)]));
  }

  /** Another NIC of the machine leads everywhere from now on, or this one does. There is no moment without a way. */
  async lead(netnsFd: number, { name, leads, routes = [] }: InnerEnd): Promise<void> {
    const { subnet } = this.#options;
    using inside = this.#openInside(netnsFd);
    const index = await indexIn(inside, name);
    const all = destinationsOf(subnet, 'resolver', routes);
    const wanted = leads === 'everywhere' ? [] : destinationsOf(subnet, leads, routes);
    const added = wanted.map((destination) => message.addRouteBy(index, destination, subnet.gateway));
    demand(`route by ${name} inside`, await inside.send(leads === 'everywhere' ? [message.addDefaultRoute(index, subnet.gateway)] : added));
    const former = all.filter(({ cidr }) => !wanted.some((destination) => destination.cidr === cidr));
    const removed = former.map((destination) => message.deleteRouteBy(index, destination, subnet.gateway));
    if (removed.length > 0) demand(`route by ${name} inside`, await inside.send(removed), 'ESRCH');
  }

  /** What the link carries, each way: at the host's end what goes to the machine, at the machine's what comes from it. */
  async limit(slot: number, netnsFd: number, name: string, mbps: number | null): Promise<void> {
    const { programs } = this.#options;
    const outer = await this.#indexOf(slot);
    using inside = this.#openInside(netnsFd);
    const inner = await indexIn(inside, name);
    const request = (index: number): NetlinkRequest[] => [mbps === null ? clearCeiling(index) : setCeiling(index, mbps)];
    const what = mbps === null ? 'take the ceiling from' : `set the ceiling of ${mbps} Mbit/s on`;
    const harmless = mbps === null ? ['ENOENT', 'EINVAL'] : [];
    if (programs !== undefined) {
      // What is to pass a queue goes the usual way.
      const [detached, attached, ...set] = await this.#socket.send([...programs.detach(outer), ...programs.attach(outer, mbps === null)]);
      demand('change what a link learns', [detached!], 'ENOENT', 'EINVAL');
      demand('change what a link learns', [attached!]);
      demand('change what a link learns', set, 'EEXIST');
    }
    demand(`${what} the link`, await this.#lead(request(outer)), ...harmless);
    demand(`${what} ${name} inside`, await inside.send(request(inner)), ...harmless);
  }

  /** No route leads to the link from here on, and the link goes with the next batch. */
  async disconnect(slot: number, addresses: readonly string[]): Promise<void> {
    const index = this.#indexes.get(slot);
    const requests = index === undefined ? [] : addresses.map((address) => message.deleteMachineRoute(index, address));
    demand(`remove the route to ${addresses.join(', ')}`, await this.#lead(requests), 'ESRCH', 'ENODEV', 'EINVAL');
    await this.discard(slot);
  }

  async discard(slot: number): Promise<void> {
    const name = this.#nameOf(slot);
    this.#indexes.delete(slot);
    const outcomes = await this.#socket.send([message.setGroup({ name }, this.#doomed.group)]);
    demand(`discard link ${name}`, outcomes, 'ENODEV');
    if (outcomes[0]!.errno !== 0) return; // it died with its namespace
    this.#doomed.add(slot);
  }

  /** Deletes what waits for it; resolves when all links discarded before this call are gone. */
  flush(): Promise<void> {
    return this.#doomed.flush();
  }

  /** As `flush`; resolves already when the link `name` is gone inside. */
  async flushOut(netnsFd: number, name: string): Promise<void> {
    using inside = this.#openInside(netnsFd);
    await this.#doomed.flushOut(inside, name);
  }

  /** Host ends that exist now, by slot. */
  async list(): Promise<Map<number, FoundLink>> {
    const { prefix } = this.#options;
    const result = new Map<number, FoundLink>();
    for (const found of await this.#socket.dump(message.listVeths())) {
      const attributes = parseAttributes(found.body.subarray(16));
      const name = attributes.get(message.linkAttributes.name)?.toString('latin1').replace(/\0.*$/s, '') ?? '';
      const slot = name.startsWith(prefix) ? name.slice(prefix.length) : '';
      if (!/^\d{1,6}$/.test(slot)) continue;
      const group = attributes.get(message.linkAttributes.group)?.readUInt32LE(0) ?? defaultGroup;
      const isShaped = attributes.get(message.linkAttributes.queue)?.toString('latin1').startsWith('tbf') === true;
      result.set(Number(slot), { index: indexOf(found), group, isShaped });
    }
    return result;
  }

  /**
   * Takes these links as the ones in use, and makes the host's side of them what it must be: routes of ours into one of them
   * from any other address go, missing ones come. What is right already is not touched.
   */
  async adopt(links: Map<number, FoundLink>, reached: ReadonlyMap<number, Reached>): Promise<void> {
    const slots = new Map([...links].map(([slot, { index }]) => [index, slot]));
    const { programs } = this.#options;
    const requests: NetlinkRequest[] = [];
    const missing = new Map<string, NetlinkRequest>();
    for (const [slot, { index, group, isShaped }] of links) {
      this.#indexes.set(slot, index);
      requests.push(...(programs?.attach(index, !isShaped) ?? []));
      if (group !== defaultGroup) requests.push(message.setGroup({ index }, defaultGroup));
      const wanted = reached.get(slot);
      if (wanted === undefined) continue;
      const [own] = wanted.addresses;
      for (const address of wanted.addresses) {
        requests.push(message.addNeighbour(index, address, macBytes(own)));
        missing.set(`${slot} ${address}/${widthOf(this.#options.subnet.family)}`, message.addMachineRoute(index, address, this.#source));
      }
      for (const destination of wanted.carries) missing.set(`${slot} ${destination.cidr} by ${own}`, message.addRouteBy(index, destination, own));
    }
    for (const { body } of await this.#socket.dump(message.listOwnRoutes(this.#options.subnet.family))) {
      const attributes = parseAttributes(body.subarray(12));
      const index = attributes.get(message.routeAttributes.oif)?.readUInt32LE(0);
      const destination = textOf(attributes.get(message.routeAttributes.destination));
      const slot = index === undefined ? undefined : slots.get(index);
      if (index === undefined || slot === undefined || destination === undefined) continue;
      const by = textOf(attributes.get(message.routeAttributes.gateway));
      const found = parseDestination('route', `${destination}/${body[1]}`);
      if (missing.delete(`${slot} ${found.cidr}${by === undefined ? '' : ` by ${by}`}`)) continue;
      requests.push(by === undefined ? message.deleteMachineRoute(index, destination) : message.deleteRouteBy(index, found, by));
    }
    requests.push(...missing.values());
    // A machine may end meanwhile, and its link with it.
    demand('restore links', await this.#lead(requests), 'ESRCH', 'ENODEV', 'EEXIST');
  }

  /** Bytes that the machine has sent and received, as its own end counts them: not all that goes to it goes through the host's. */
  async counters(slot: number): Promise<{ sent: number; received: number }> {
    const gone = (): CenoteError => new CenoteError('not_found', `slot ${slot} has no link`);
    const what = `read counters of slot ${slot}`;
    const [outer] = await this.#socket.send([message.getLink({ name: this.#nameOf(slot) })]);
    if (outer!.code === 'ENODEV') throw gone();
    demand(what, [outer!]);
    const inside = message.otherEndOf(outer!.messages[0]!.body);
    const [inner] = await this.#socket.send([message.getStatistics(inside)]);
    if (['ENODEV', 'EINVAL'].includes(inner!.code)) throw gone();
    demand(what, [inner!]);
    const statistics = parseAttributes(inner!.messages[0]!.body.subarray(16)).get(message.linkAttributes.stats64);
    if (statistics === undefined) throw new CenoteError('internal', `the kernel gave no counters for slot ${slot}`);
    return { received: Number(statistics.readBigUInt64LE(16)), sent: Number(statistics.readBigUInt64LE(24)) };
  }

  async close(): Promise<void> {
    await this.#doomed.close();
    this.#socket[Symbol.dispose]();
  }

  /** Under which the router itself speaks to machines. */
  get #source(): string | undefined {
    return this.#options.isGatewayOutside === true ? undefined : this.#options.subnet.gateway;
  }

  #nameOf(slot: number): string {
    return `${this.#options.prefix}${slot}`;
  }

  /** Packets are led another way: what was learnt of the former one does not count. */
  async #lead(requests: readonly NetlinkRequest[]): Promise<NetlinkOutcome[]> {
    const outcomes = await this.#socket.send(requests);
    this.#options.cache?.forget();
    return outcomes;
  }

  /** A socket stays in the namespace in which it was made. */
  #openInside(netnsFd: number): NetlinkSocket {
    return inNetworkNamespace(netnsFd, () => new NetlinkSocket(netlinkProtocols.route));
  }

  async #indexOf(slot: number): Promise<number> {
    const known = this.#indexes.get(slot);
    if (known !== undefined) return known;
    const name = this.#nameOf(slot);
    const [outcome] = await this.#socket.send([message.getLink({ name })]);
    if (outcome!.code === 'ENODEV') throw new CenoteError('wrong_state', `slot ${slot} has no link: it was not prepared`);
    demand(`find link ${name}`, [outcome!]);
    const index = indexOf(outcome!.messages[0]!);
    this.#indexes.set(slot, index);
    return index;
  }
}

const textOf = (bytes: Buffer | undefined): string | undefined => (bytes === undefined ? undefined : addressFromBytes(bytes));

const indexOf = (link: NetlinkMessage): number => link.body.readInt32LE(4);

const indexIn = async (socket: NetlinkSocket, name: string): Promise<number> => {
  const [found] = await socket.send([message.getLink({ name })]);
  demand(`find ${name}`, [found!]);
  return indexOf(found!.messages[0]!);
};
