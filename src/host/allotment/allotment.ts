/**
 * What is host-wide, given to instances under one lock: name and number, uid ranges, subnets, shares of CPU and memory, published
 * ports, and who needs which change to the host. Every method is one locked step: read, change, replace the file.
 *
 * Ports have a file of their own, not synced: agents claim again what they hold when they start, so a power loss costs nothing,
 * and no request waits for the disk.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CenoteError } from '../../base/errors.ts';
import type { PublishedPort } from '../../model/machine.ts';
import { lockFile } from '../../sys/flock.ts';
import { isErrno } from '../../sys/libc.ts';
import { chooseName, chooseNumber, chooseShare, chooseSubnet, chooseUidBlock, reserveOf, unsharedOf } from './choose.ts';
import type { ShareRequest, Totals } from './choose.ts';
import { hostFacts } from './host-facts.ts';
import type { HostFacts } from './host-facts.ts';
import { AllotmentRecord, PortRecord, makeRecordDirectory, readRecord, recordReader, removeRecordDirectory, writeRecord } from './record.ts';
import type { AllottedInstance, Share } from './record.ts';

export type { AllottedInstance, Share } from './record.ts';
export type { HostFacts } from './host-facts.ts';

export const defaultAllotmentDirectory = '/var/lib/cenote-host';
const lockName = 'lock';

export interface AllotmentOptions {
  directory?: string | undefined;
  facts?: HostFacts | undefined;
  /** Things a person should know, such as an instance whose root directory is gone. */
  onNotice?: ((message: string) => void) | undefined;
}

/** A change to undo: its key (`sysctl:KEY`, `mount:PATH`, `zram:DEVICE`) and what was there before. */
export interface FormerValue {
  key: string;
  former: string;
}

export const openAllotment = (options: AllotmentOptions = {}): Allotment => new Allotment(options);

const emptyRecord = (): AllotmentRecord => ({ version: 1, instances: [], changes: {} });
const portKey = (port: Pick<PublishedPort, 'protocol' | 'hostPort'>): string => `${port.protocol}/${port.hostPort}`;

export class Allotment {
  readonly directory: string;
  readonly #facts: HostFacts;
  readonly #onNotice: (message: string) => void;
  readonly #current: () => AllotmentRecord | null;

  constructor(options: AllotmentOptions) {
    this.directory = options.directory ?? defaultAllotmentDirectory;
    this.#facts = options.facts ?? hostFacts();
    this.#onNotice = options.onNotice ?? (() => {});
    this.#current = recordReader(this.#path, AllotmentRecord);
  }

  list(): AllottedInstance[] {
    return this.#read().instances;
  }

  find(root: string): AllottedInstance | null {
    return this.list().find((one) => one.root === root) ?? null;
  }

  /** Makes or finds the entry of the instance at `request.root`; figures given change its share. Instances whose root is gone lose theirs. */
  register(request: ShareRequest): Promise<AllottedInstance> {
    return this.#change((record) => {
      this.#reclaim(record, request.root);
      const others = record.instances.filter(({ root }) => root !== request.root);
      const existing = record.instances.find(({ root }) => root === request.root);
      if (existing !== undefined) {
        if (request.cpuMillis !== undefined || request.memoryMib !== undefined) {
          const kept = { cpuMillis: request.cpuMillis ?? existing.share?.cpuMillis, memoryMib: request.memoryMib ?? existing.share?.memoryMib };
          existing.share = chooseShare({ ...request, ...kept }, this.#facts.totals(), others);
        }
        return existing;
      }
      const number = chooseNumber(new Set(others.map((other) => other.number)));
      const made: AllottedInstance = {
        instance: chooseName(request.root, new Set(others.map(({ instance }) => instance))),
        number,
        root: request.root,
        subnet: chooseSubnet(number, new Set(others.map(({ subnet }) => subnet)), this.#facts.usedAddresses()),
        uidBlocks: [chooseUidBlock(new Set(others.flatMap(({ uidBlocks }) => uidBlocks)), this.#facts.usedIds())],
        share: chooseShare(request, this.#facts.totals(), others),
      };
      record.instances.push(made);
      return made;
    });
  }

  /** As it was before `register`: `former` is what `find` said then, null for one that there was not. */
  putBack(root: string, former: AllottedInstance | null): Promise<void> {
    return this.#change((record) => {
      const entry = record.instances.find((one) => one.root === root);
      if (former === null) record.instances = record.instances.filter((one) => one !== entry);
      else if (entry !== undefined) entry.share = former.share;
    });
  }

  /** Another 1,024 machines' worth of ids; the result is the new block's first id. */
  claimUidBlock(instance: string): Promise<number> {
    return this.#change((record) => {
      const entry = entryOf(record, instance);
      const block = chooseUidBlock(new Set(record.instances.flatMap(({ uidBlocks }) => uidBlocks)), this.#facts.usedIds());
      entry.uidBlocks.push(block);
      return block;
    });
  }

  /** What the instance's machines may be guaranteed in all, now: the rest changes as other instances come and go. */
  share(instance: string): Share {
    const record = this.#current() ?? emptyRecord();
    const entry = entryOf(record, instance);
    if (entry.share !== null) return entry.share;
    const rest = unsharedOf(this.#facts.totals(), record.instances);
    return { cpuMillis: Math.max(0, rest.cpuMillis), memoryMib: Math.max(0, rest.memoryMib) };
  }

  /** What the host has, and what of it no instance is given. */
  host(): { totals: Totals; reserve: Share } {
    const totals = this.#facts.totals();
    return { totals, reserve: reserveOf(totals) };
  }

  /** The machine's published ports become exactly these; `in_use` names the first that another has, and nothing is changed. */
  claimPorts(instance: string, machine: string, ports: readonly PublishedPort[]): Promise<void> {
    return this.#changePorts((held) => {
      for (const [index, port] of ports.entries()) {
        const holder = held[portKey(port)];
        if (holder === undefined || (holder.instance === instance && holder.machine === machine)) continue;
        const whose = holder.instance === instance ? `machine ${holder.machine}` : `a machine of instance "${holder.instance}"`;
        throw new CenoteError('in_use', `port ${port.hostPort}/${port.protocol} of the host is published by ${whose}`, {
          fields: [{ field: `publish[${index}].hostPort`, message: 'in use' }],
        });
      }
      releaseAll(held, instance, machine);
      for (const port of ports) held[portKey(port)] = { instance, machine };
    });
  }

  /** Some of a machine's ports, or all of them. */
  releasePorts(instance: string, machine: string, ports?: readonly PublishedPort[]): Promise<void> {
    const keys = ports === undefined ? null : new Set(ports.map(portKey));
    return this.#changePorts((held) => releaseAll(held, instance, machine, keys));
  }

  /** For an agent that starts: these machines hold these ports, and no other machine of this instance holds any. The result is what another instance has taken meanwhile. */
  restorePorts(
    instance: string,
    machines: readonly { machine: string; ports: readonly PublishedPort[] }[],
  ): Promise<{ machine: string; port: PublishedPort }[]> {
    return this.#changePorts((held) => {
      releaseAll(held, instance, null);
      const lost: { machine: string; port: PublishedPort }[] = [];
      for (const { machine, ports } of machines)
        for (const port of ports) {
          if (held[portKey(port)] === undefined) held[portKey(port)] = { instance, machine };
          else lost.push({ machine, port });
        }
      return lost;
    });
  }

  portHolder(port: Pick<PublishedPort, 'protocol' | 'hostPort'>): { instance: string; machine: string } | null {
    return this.#readPorts()[portKey(port)] ?? null;
  }

  /** Notes, before it is made, a change to the host that `instance` needs; the first to note it says what was there. */
  noteChange(instance: string, changes: readonly FormerValue[]): Promise<void> {
    return this.#change((record) => {
      for (const { key, former } of changes) {
        const known = (record.changes[key] ??= { former, owners: [] });
        if (!known.owners.includes(instance)) known.owners.push(instance);
      }
    });
  }

  /** Changes that were not made after all, or that a reboot undid. */
  forgetChanges(keys: readonly string[]): Promise<void> {
    return this.#change((record) => {
      for (const key of keys) delete record.changes[key];
    });
  }

  changes(): Record<string, { former: string; owners: string[] }> {
    return this.#read().changes;
  }

  /** Takes the instance out; `undo` puts back what no other instance needs, before the record forgets it. The last one takes the directory with it. */
  async unregister(root: string, undo: (changes: FormerValue[]) => Promise<void>): Promise<void> {
    if (!existsSync(this.directory)) return;
    using _lock = await this.#lock();
    const record = this.#read();
    const entry = record.instances.find((one) => one.root === root);
    const orphans = entry === undefined ? [] : disown(record, entry.instance);
    await undo(orphans);
    record.instances = record.instances.filter((one) => one !== entry);
    for (const { key } of orphans) delete record.changes[key];
    if (record.instances.length === 0 && Object.keys(record.changes).length === 0) {
      removeRecordDirectory(this.directory, lockName);
      return;
    }
    writeRecord(this.#path, record, { sync: true });
    if (entry === undefined) return;
    const held = this.#readPorts();
    releaseAll(held, entry.instance, null);
    writeRecord(this.#portsPath, held, { sync: false });
  }

  /**
   * A root directory that is gone can hold no machine: its numbers, ranges and ports are free again. Not while something of it is on the host:
   * its disk may be away for a moment, or we may see other directories than it does (in a chroot), and its numbers are in use.
   */
  #reclaim(record: AllotmentRecord, exceptRoot: string): void {
    const unseen = record.instances.filter(({ root }) => root !== exceptRoot && !existsSync(root));
    const gone = unseen.filter(({ instance }) => !this.#facts.isOnHost(instance));
    for (const { instance, root } of unseen.filter((one) => !gone.includes(one)))
      this.#onNotice(`instance "${instance}" is on this host, but not its directory ${root}; when that is gone for good: cenote --root ${root} destroy --yes`);
    if (gone.length === 0) return;
    const held = this.#readPorts();
    for (const { instance, root } of gone) {
      this.#onNotice(`instance "${instance}" is forgotten: its directory ${root} is gone`);
      // Its changes stay noted for whoever comes next: they are undone with the last instance.
      disown(record, instance);
      releaseAll(held, instance, null);
    }
    record.instances = record.instances.filter((one) => !gone.includes(one));
    writeRecord(this.#portsPath, held, { sync: false });
  }

  get #path(): string {
    return `${this.directory}/allotment.json`;
  }

  get #portsPath(): string {
    return `${this.directory}/ports.json`;
  }

  #read(): AllotmentRecord {
    return readRecord(this.#path, AllotmentRecord) ?? emptyRecord();
  }

  #readPorts(): PortRecord {
    try {
      return readRecord(this.#portsPath, PortRecord) ?? {};
    } catch {
      this.#onNotice(`${this.#portsPath} was damaged; agents write theirs anew when they start`);
      return {};
    }
  }

  async #lock(): Promise<Disposable> {
    for (;;) {
      makeRecordDirectory(this.directory);
      try {
        return await lockFile(join(this.directory, lockName));
      } catch (error) {
        // The last instance has just left, and took the directory with it: this one makes it anew.
        if (!isErrno(error, 'ENOENT')) throw error;
      }
    }
  }

  async #change<Result>(step: (record: AllotmentRecord) => Result): Promise<Result> {
    using _lock = await this.#lock();
    const record = this.#read();
    const before = JSON.stringify(record);
    const result = step(record);
    if (JSON.stringify(record) !== before) writeRecord(this.#path, record, { sync: true });
    return result;
  }

  async #changePorts<Result>(step: (held: PortRecord) => Result): Promise<Result> {
    using _lock = await this.#lock();
    const held = this.#readPorts();
    const result = step(held);
    writeRecord(this.#portsPath, held, { sync: false });
    return result;
  }
}

const entryOf = (record: AllotmentRecord, instance: string): AllottedInstance => {
  const entry = record.instances.find((one) => one.instance === instance);
  if (entry === undefined) throw new CenoteError('not_found', `this host knows no instance "${instance}"`, { advice: 'run `cenote up` again' });
  return entry;
};

const releaseAll = (held: PortRecord, instance: string, machine: string | null, keys: ReadonlySet<string> | null = null): void => {
  for (const [key, holder] of Object.entries(held))
    if (holder.instance === instance && (machine === null || holder.machine === machine) && (keys === null || keys.has(key))) delete held[key];
};

/** Removes the owner everywhere; the result is what nobody owns any more. */
const disown = (record: AllotmentRecord, instance: string): FormerValue[] => {
  const orphans: FormerValue[] = [];
  for (const [key, change] of Object.entries(record.changes)) {
    change.owners = change.owners.filter((owner) => owner !== instance);
    if (change.owners.length === 0) orphans.push({ key, former: change.former });
  }
  return orphans;
};
