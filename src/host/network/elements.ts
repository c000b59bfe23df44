/** What is on one network, as elements of the sets of its router's table: let in, kept out and exchanged, each in one transaction. */
import type { Logger } from '../../base/logger.ts';
import type { Subnet } from '../../model/subnet.ts';
import { NftablesError } from '../../sys/nftables-error.ts';
import type { NftRunner } from '../../sys/nftables.ts';
import { difference } from './attachment.ts';
import type { Attachment } from './attachment.ts';
import { dropShape, dropsOf } from './drop-rules.ts';
import { packetWords } from './packet-words.ts';
import { change, elementsOf, tableName } from './ruleset.ts';
import { keyOf, kindOf } from './set-shapes.ts';
import { machineSets } from './table-pieces.ts';
import type { MachineSet } from './table-pieces.ts';
import { changeSets, transact } from './transaction.ts';
import type { SetChange } from './transaction.ts';
import type { Uplinks } from './uplinks.ts';

export interface ElementsOptions {
  instance: string;
  subnet: Subnet;
  /** Of links' names. */
  prefix: string;
  nftables: NftRunner;
  /** In which those that it leads out of the host have classes. */
  uplinks?: Uplinks | undefined;
  logger: Logger;
}

/** What goes from one attachment to another while both are connected. */
const movable: readonly MachineSet[] = ['bound', 'further', 'shown', 'classes', 'floating_in', 'floating_out'];
/** Elements in one command of a restore: keeps one line of text, and one message to the kernel, of reasonable size. */
const elementsPerCommand = 500;

export class Elements {
  readonly #options: ElementsOptions;
  readonly #table: string;
  readonly #shapes: ReturnType<typeof machineSets>;
  readonly #sets: readonly MachineSet[];

  constructor(options: ElementsOptions) {
    this.#options = options;
    this.#table = tableName(options.instance);
    this.#shapes = machineSets(packetWords[options.subnet.family]);
    this.#sets = Object.keys(this.#shapes) as MachineSet[];
  }

  allow(connection: Attachment): void {
    const elements = this.#of(connection);
    this.#change(this.#sets.map((set) => this.#changeOf('create', set, elements[set])));
  }

  /** What is missing already (someone flushed the table) must not keep the rest from going. */
  forbid(connection: Attachment): void {
    const { nftables, logger } = this.#options;
    const elements = this.#of(connection);
    const all = this.#sets.map((set) => this.#changeOf('delete', set, elements[set]));
    try {
      this.#change([...all, ...this.#forgetDrops(connection)]);
      return;
    } catch (error) {
      logger.warn({ err: error, slot: connection.slot }, 'rules of a machine were changed by someone else');
    }
    for (const { elements: gone, ...from } of all) {
      for (const element of gone) {
        try {
          changeSets(nftables, this.#table, [{ ...from, elements: [element] }]);
        } catch (error) {
          if (!(error instanceof NftablesError) || error.kind !== 'missing') throw error;
        }
      }
    }
  }

  /** What one takes from another is never both's, and never absent. */
  exchange(before: readonly Attachment[], wanted: readonly Attachment[]): void {
    const all = (attachments: readonly Attachment[]) => attachments.map((one) => this.#of(one));
    const [old, now] = [all(before), all(wanted)];
    const changes = (verb: 'create' | 'delete', from: typeof old, without: typeof old): SetChange[] =>
      movable.map((set) => {
        const lost = difference(
          from.flatMap((one) => one[set]),
          without.flatMap((one) => one[set]),
        );
        return this.#changeOf(verb, set, lost);
      });
    this.#change([...changes('delete', old, now), ...changes('create', now, old)]);
  }

  publish(before: Attachment, wanted: Attachment): void {
    const [old, now] = [this.#of(before).published, this.#of(wanted).published];
    this.#change([this.#changeOf('delete', 'published', difference(old, now)), this.#changeOf('create', 'published', difference(now, old))]);
  }

  /** The next with this link begins at none. */
  #forgetDrops({ slot }: Attachment): SetChange[] {
    const counted = dropsOf(`${this.#options.prefix}${slot}`);
    // What is deleted must be there.
    return (['add', 'delete'] as const).map((verb) => ({ verb, set: 'dropped', shape: dropShape, elements: counted }));
  }

  /** Exactly these begin no flow. */
  hold(addresses: readonly string[]): void {
    const { instance, nftables } = this.#options;
    transact(() => void nftables.run(`flush set inet ${this.#table} crowders\n${change('add', instance, 'crowders', addresses)}`));
  }

  /** The kernel goes from the old elements to the new ones at once, and one that stays is never absent. */
  replace(connections: readonly Attachment[]): void {
    const { instance, nftables } = this.#options;
    const all = connections.map((connection) => this.#of(connection));
    let commands = '';
    for (const set of this.#sets) {
      const elements = all.flatMap((one) => one[set]);
      commands += `flush ${kindOf(this.#shapes[set])} inet ${this.#table} ${set}\n`;
      for (let at = 0; at < elements.length; at += elementsPerCommand) commands += change('add', instance, set, elements.slice(at, at + elementsPerCommand));
    }
    transact(() => void nftables.run(commands), inUse);
  }

  #of(connection: Attachment): Record<MachineSet, string[]> {
    const { prefix, uplinks } = this.#options;
    return elementsOf(prefix, connection, uplinks && ((address) => uplinks.classOf(address)));
  }

  #changeOf(verb: 'create' | 'delete', set: MachineSet, elements: readonly string[]): SetChange {
    return { verb, set, shape: this.#shapes[set], elements: verb === 'delete' ? elements.map(keyOf) : elements };
  }

  #change(changes: readonly SetChange[]): void {
    transact(() => changeSets(this.#options.nftables, this.#table, changes), inUse);
  }
}

const inUse = 'the address or a published port is in use by another machine';
