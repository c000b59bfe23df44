/** What is on one network, as elements of the sets of its router's table: let in, kept out and exchanged, each in one transaction. */
import type { Logger } from '../../base/logger.ts';
import { NftablesError } from '../../sys/nftables.ts';
import type { NftRunner } from '../../sys/nftables.ts';
import { difference, keyOf } from './attachment.ts';
import type { Attachment } from './attachment.ts';
import { change, elementsOf, tableName } from './ruleset.ts';
import { transact } from './transaction.ts';
import type { Uplinks } from './uplinks.ts';

export interface ElementsOptions {
  instance: string;
  /** Of links' names. */
  prefix: string;
  nftables: NftRunner;
  /** In which those that it leads out of the host have classes. */
  uplinks?: Uplinks | undefined;
  logger: Logger;
}

const setNames = ['bound', 'further', 'shown', 'hairpin', 'classes', 'published', 'floating_in', 'floating_out'] as const;
const maps: ReadonlySet<string> = new Set<(typeof setNames)[number]>(['classes', 'published', 'floating_in', 'floating_out']);
/** What goes from one attachment to another while both are connected. */
const movable = ['bound', 'further', 'shown', 'classes', 'floating_in', 'floating_out'] as const;
/** Elements in one command of a restore: keeps one line of text, and one message to the kernel, of reasonable size. */
const elementsPerCommand = 500;

export class Elements {
  readonly #options: ElementsOptions;

  constructor(options: ElementsOptions) {
    this.#options = options;
  }

  allow(connection: Attachment): void {
    const { instance } = this.#options;
    const elements = this.#of(connection);
    this.#run(setNames.map((set) => change('create', instance, set, elements[set])).join(''));
  }

  /** What is missing already (someone flushed the table) must not keep the rest from going. */
  forbid(connection: Attachment): void {
    const { instance, nftables, logger } = this.#options;
    const sets = this.#of(connection);
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

  /** What one takes from another is never both's, and never absent. */
  exchange(before: readonly Attachment[], wanted: readonly Attachment[]): void {
    const { instance } = this.#options;
    const all = (attachments: readonly Attachment[]) => attachments.map((one) => this.#of(one));
    const [old, now] = [all(before), all(wanted)];
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
  }

  publish(before: Attachment, wanted: Attachment): void {
    const { instance } = this.#options;
    const [old, now] = [this.#of(before).published, this.#of(wanted).published];
    this.#run(change('delete', instance, 'published', difference(old, now).map(keyOf)) + change('create', instance, 'published', difference(now, old)));
  }

  /** The kernel goes from the old elements to the new ones at once, and one that stays is never absent. */
  replace(connections: readonly Attachment[]): void {
    const { instance } = this.#options;
    const all = connections.map((connection) => this.#of(connection));
    let commands = '';
    for (const set of setNames) {
      const elements = all.flatMap((one) => one[set]);
      commands += `flush ${maps.has(set) ? 'map' : 'set'} inet ${tableName(instance)} ${set}\n`;
      for (let at = 0; at < elements.length; at += elementsPerCommand) commands += change('add', instance, set, elements.slice(at, at + elementsPerCommand));
    }
    this.#run(commands);
  }

  #of(connection: Attachment): ReturnType<typeof elementsOf> {
    const { prefix, uplinks } = this.#options;
    return elementsOf(prefix, connection, uplinks && ((address) => uplinks.classOf(address)));
  }

  #run(commands: string): void {
    transact(this.#options.nftables, commands, 'the address or a published port is in use by another machine');
  }
}
