/**
 * The devices that lead outside, and the queue on each by which machines' network guarantees hold for what leaves: a class for each machine's
 * address, and one for all others (the host's own traffic, other instances'). A machine's class has its address's place in the subnet as its
 * number, so that nothing has to be remembered, or found again after a restart.
 *
 * A device may go and come back, and somebody may take its queue away: what should be there is known here, each device is looked at now and
 * then, and what differs is put right. A queue that somebody else made is never touched.
 */
import { CenoteError, messageChain } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { UplinkStatus } from '../../model/uplink.ts';
import { promisableMbps, reserveMbps } from '../../model/uplink-reserve.ts';
import { familyOf } from '../../model/address.ts';
import { backboneOf, behindBackbone } from '../../model/backbone.ts';
import { placeOf } from '../../model/subnet.ts';
import type { Subnet } from '../../model/subnet.ts';
import { NetlinkError, NetlinkSocket, demand, netlinkProtocols } from '../../sys/netlink.ts';
import type { NetlinkRequest } from '../../sys/netlink.ts';
import * as htb from './htb.ts';
import type { ClassRates } from './htb.ts';
import { getLink } from './route-messages.ts';

export interface UplinksOptions {
  instanceNumber: number;
  subnet: Subnet;
  devices: readonly string[];
  /** What each of them carries. */
  capacityMbps: number;
  logger: Logger;
  /** How often devices are looked at. */
  lookMs?: number | undefined;
}

interface Device {
  name: string;
  /** Of the device that has our queue now. */
  index: number | null;
  lacks: string | null;
}

const usualLookMs = 5000;
/** What it means for a message to a device that has just gone, or whose queue has. */
const gone = ['ENODEV', 'ENOENT', 'EINVAL', 'EOPNOTSUPP'];
const largestPlace = htb.othersMinor - 1;

export class Uplinks {
  readonly #options: UplinksOptions;
  readonly #socket = new NetlinkSocket(netlinkProtocols.route);
  readonly #devices: Device[];
  readonly #handle: number;
  /** Mbit/s, by the number of the class. */
  readonly #wanted = new Map<number, number>();
  /** Their sum. */
  #promisedMbps = 0;
  /** What each has of its guarantee: all of it, unless more was promised (of a larger capacity) than there is, which HTB would let pass. */
  #part = 1;
  /** Before that, classes that are there may be those of machines that run. */
  #isRestored = false;
  #turn: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: UplinksOptions) {
    this.#options = options;
    this.#devices = options.devices.map((name) => ({ name, index: null, lacks: 'not looked at yet' }));
    this.#handle = htb.handleOf(options.instanceNumber);
  }

  /** Queues of ours on other devices go; those on these are made, or taken as they are. */
  open(): Promise<void> {
    const { lookMs = usualLookMs } = this.#options;
    return this.#inTurn(async () => {
      await this.#look();
      const held = this.#devices.map(({ index }) => index);
      await removeQueues(this.#socket, this.#options.instanceNumber, held);
      this.#timer = setInterval(() => void this.#inTurn(() => this.#look()), lookMs).unref();
    });
  }

  get devices(): readonly string[] {
    return this.#options.devices;
  }

  status(): UplinkStatus[] {
    return this.#devices.map(({ name, lacks }) => ({ device: name, capacityMbps: this.#options.capacityMbps, lacks }));
  }

  /** As nftables says it: packets with this priority go into the class. */
  classOf(address: string): string {
    return htb.classText(this.#handle, this.#minorOf(address));
  }

  /** What is sent under this address is guaranteed so much from here on; when that cannot be, all is as before. */
  set(address: string, mbps: number): Promise<void> {
    const minor = this.#minorOf(address);
    return this.#inTurn(async () => {
      const isPoor = htb.mayOwe(this.#ratesOf(minor));
      const former = this.#want(minor, mbps);
      try {
        await this.#put(minor, `guarantee ${address} ${mbps} Mbit/s on`, former !== undefined && isPoor && mbps > former);
      } catch (error) {
        this.#want(minor, former);
        await this.#put(minor, `put back the guarantee of ${address} on`).catch((undoError: unknown) => this.#log(undoError));
        throw error;
      }
    });
  }

  remove(address: string): Promise<void> {
    const minor = this.#minorOf(address);
    return this.#inTurn(async () => {
      if (this.#want(minor, undefined) !== undefined) await this.#put(minor, `take ${address} from`).catch((error: unknown) => this.#log(error));
    });
  }

  /** These addresses have classes, and what others have found there stays until all is `restored`. */
  restore(guarantees: ReadonlyMap<string, number>): Promise<void> {
    return this.#inTurn(async () => {
      for (const [address, mbps] of guarantees) this.#want(this.#minorOf(address), mbps);
      this.#part = this.#partNow();
      await this.#putEverything();
    });
  }

  /** Exactly what is wanted by now is to have classes. */
  restored(): Promise<void> {
    return this.#inTurn(async () => {
      this.#isRestored = true;
      await this.#putEverything();
    });
  }

  /** The queues stay: what is guaranteed holds while no agent is there. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#turn;
    this.#socket[Symbol.dispose]();
  }

  /** Whether each device is there with our queue; one that was lost, and is there again, gets all anew. */
  async #look(): Promise<void> {
    for (const device of this.#devices) {
      const former = device.lacks;
      try {
        const found = await findQueue(this.#socket, device.name);
        const isOurs = found?.root !== undefined && found.root.kind === 'htb' && found.root.handle === this.#handle;
        if (found !== null && isOurs && found.index === device.index) continue;
        device.index = null;
        if (found === null) device.lacks = `there is no device ${device.name}`;
        else if (found.root !== undefined && !isOurs) device.lacks = `${device.name} has another root queue: ${queueText(found.root)}`;
        else await this.#hold(device, found.index, isOurs);
      } catch (error) {
        device.index = null;
        device.lacks = messageChain(error);
      }
      const { name, lacks } = device;
      if (lacks === null) this.#options.logger.info({ device: name }, 'the uplink is shaped');
      else if (lacks !== former) this.#options.logger.warn({ device: name, lacks }, 'network guarantees do not hold: the uplink is not shaped');
    }
  }

  async #hold(device: Device, index: number, isThere: boolean): Promise<void> {
    if (!isThere) demand(`make a queue on ${device.name}`, await this.#socket.send([htb.makeRoot(index, this.#handle)]));
    await this.#putAll(device, index);
    device.index = index;
    device.lacks = null;
  }

  /** Makes the classes what they should be; those that are right already are not touched. */
  async #putAll(device: Device, index: number): Promise<void> {
    const found = new Map<number, htb.FoundClass>();
    for (const message of await this.#socket.dump(htb.listClasses(index))) {
      const one = htb.parseClass(message, this.#handle);
      if (one !== null) found.set(one.minor, one);
    }
    const minors = [htb.rootMinor, htb.othersMinor, ...this.#wanted.keys()];
    const requests = minors.flatMap((minor) => {
      const [former, rates] = [found.get(minor), this.#ratesOf(minor)];
      if (isSame(former, rates)) return [];
      const isAnew = former !== undefined && htb.mayOwe(former) && rates.rate > former.rate;
      return isAnew ? [this.#deleteClass(index, minor), ...this.#setClass(index, minor)] : this.#setClass(index, minor);
    });
    const unwanted = this.#isRestored ? new Set(found.keys()).difference(new Set(minors)) : [];
    for (const minor of unwanted) requests.push(this.#deleteClass(index, minor));
    demand(`make the classes of ${device.name}`, await this.#socket.send(requests));
  }

  /** Gives what was wanted before. */
  #want(minor: number, mbps: number | undefined): number | undefined {
    const former = this.#wanted.get(minor);
    if (mbps === undefined) this.#wanted.delete(minor);
    else this.#wanted.set(minor, mbps);
    this.#promisedMbps += (mbps ?? 0) - (former ?? 0);
    return former;
  }

  #partNow(): number {
    return this.#promisedMbps === 0 ? 1 : Math.min(1, promisableMbps(this.#options.capacityMbps) / this.#promisedMbps);
  }

  async #putEverything(): Promise<void> {
    for (const device of this.#devices) {
      if (device.index === null) continue;
      try {
        await this.#putAll(device, device.index);
      } catch (error) {
        // The next look makes it good; no machine need wait for that.
        device.index = null;
        this.#log(error);
      }
    }
  }

  /** One class as it is wanted, on every device; made anew if it must be. One that goes meanwhile gets all when it is back. */
  async #put(minor: number, what: string, isAnew = false): Promise<void> {
    const part = this.#partNow();
    if (part !== this.#part) {
      this.#part = part;
      return this.#putEverything();
    }
    for (const device of this.#devices) {
      const { name, index } = device;
      if (index === null) continue;
      if (isAnew) demand(`${what} ${name}`, await this.#socket.send([this.#deleteClass(index, minor)]), ...gone);
      const requests = this.#wanted.has(minor) ? this.#setClass(index, minor) : [this.#deleteClass(index, minor)];
      const failed = (await this.#socket.send(requests)).find(({ errno }) => errno !== 0);
      if (failed === undefined) continue;
      const isGone = gone.includes(failed.code) && (await findQueue(this.#socket, name))?.root?.handle !== this.#handle;
      if (!isGone) throw new NetlinkError(`${what} ${name}`, failed);
      device.index = null;
      device.lacks = `its queue has gone from ${name}`;
    }
  }

  #log(error: unknown): void {
    this.#options.logger.error({ error: messageChain(error) }, 'a class of an uplink is not as it should be');
  }

  #setClass(index: number, minor: number): NetlinkRequest[] {
    return htb.setClass(index, this.#handle, minor, this.#ratesOf(minor));
  }

  #deleteClass(index: number, minor: number): NetlinkRequest {
    return htb.deleteClass(index, this.#handle, minor);
  }

  #ratesOf(minor: number): ClassRates {
    const { capacityMbps } = this.#options;
    if (minor === htb.rootMinor) return htb.rootRates(capacityMbps);
    if (minor === htb.othersMinor) return htb.othersRates(reserveMbps(capacityMbps), capacityMbps);
    return htb.machineRates((this.#wanted.get(minor) ?? 0) * this.#part, capacityMbps);
  }

  /** A router of IPv6 has the number of its network's address on the external network, which nobody has there. */
  #minorOf(address: string): number {
    const place = placeOf(this.#options.subnet, familyOf(address) === 6 ? behindBackbone(backboneOf(this.#options.instanceNumber), address) : address);
    if (place !== null && place > htb.rootMinor && place <= largestPlace) return place;
    throw new CenoteError('not_enough', `${address} has no class on the uplink: there are ${largestPlace - htb.rootMinor} for machines, one for each address`);
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }
}

const isSame = (found: htb.FoundClass | undefined, { rate, ceil, turn }: ClassRates): boolean =>
  found !== undefined && found.isWhole && found.rate === rate && found.ceil === ceil && (found.turn === turn || found.minor === htb.rootMinor);

export const queueText = ({ kind, handle }: htb.RootQueue): string => `${kind} ${(handle / 0x1_0000).toString(16)}:`;

/** Null: there is no such device. `root` is undefined as long as it has its default queue. */
export const findQueue = async (socket: NetlinkSocket, device: string): Promise<{ index: number; root: htb.RootQueue | undefined } | null> => {
  const [link] = await socket.send([getLink({ name: device })]);
  if (link!.code === 'ENODEV') return null;
  demand(`find ${device}`, [link!]);
  const index = link!.messages[0]!.body.readInt32LE(4);
  const [queue] = await socket.send([htb.getRoot(index)]);
  const root = queue!.messages.map((message) => htb.parseRoot(message)).find((found) => found !== null);
  return { index, root: root === undefined || root.handle === 0 ? undefined : root };
};

/** On all devices but these. */
const removeQueues = async (socket: NetlinkSocket, instanceNumber: number, except: readonly (number | null)[] = []): Promise<void> => {
  const queues = (await socket.dump(htb.listQueues())).map((message) => htb.parseRoot(message)).filter((root) => root !== null);
  const ours = queues.filter((root) => htb.instanceNumberOf(root) === instanceNumber && !except.includes(root.index));
  demand('remove queues', await socket.send(ours.map(({ index }) => htb.removeRoot(index))), 'ENODEV', 'ENOENT', 'EINVAL');
};

/** Devices that this instance has shaped have their default queues again. */
export const releaseUplinks = async (instanceNumber: number): Promise<void> => {
  using socket = new NetlinkSocket(netlinkProtocols.route);
  await removeQueues(socket, instanceNumber);
};
